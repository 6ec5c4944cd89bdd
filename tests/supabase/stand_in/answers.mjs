// JSON answers, and refusals in the shape that Supabase's storage server gives them.

export function answer(response, status, body) {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

export class Refusal extends Error {
  // Hosted storage answers HTTP 400 for most refusals and puts the real status into the body.
  constructor(status, error, message, httpStatus = status) {
    super(message)
    this.status = status
    this.error = error
    this.httpStatus = httpStatus
  }

  body() {
    return { statusCode: String(this.status), error: this.error, message: this.message }
  }

  static missing() {
    return new Refusal(404, 'not_found', 'Object not found', 400)
  }

  static duplicate() {
    return new Refusal(409, 'Duplicate', 'The resource already exists', 400)
  }

  static from(error) {
    if (error.code === '42501') return new Refusal(403, 'Unauthorized', error.message, 400)
    if (error.code === '23505') return Refusal.duplicate()
    if (/^(08|53|57)/.test(error.code ?? '') || /ECONN|ENOENT|terminated/.test(`${error.code} ${error.message}`)) {
      return new Refusal(503, 'DatabaseUnavailable', 'the database does not answer')
    }
    return new Refusal(500, 'Internal', error.message)
  }
}
