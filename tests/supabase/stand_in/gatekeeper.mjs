// Keys and tokens: what the gateway of a hosted project accepts, and what it hands on.

import { createHmac, timingSafeEqual } from 'node:crypto'

import { Refusal } from './answers.mjs'

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

export class Gatekeeper {
  constructor({ jwtSecret, secretKey, publishableKey }) {
    this.jwtSecret = jwtSecret
    this.opaque = new Map([
      [secretKey, this.sign({ role: 'service_role' })],
      [publishableKey, this.sign({ role: 'anon' })],
    ])
  }

  sign(claims) {
    const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
    return `${text}.${this.signature(text)}`
  }

  signature(text) {
    return createHmac('sha256', this.jwtSecret).update(text).digest('base64url')
  }

  verify(token) {
    const [header, claims, signature] = token.split('.')
    const expected = Buffer.from(this.signature(`${header}.${claims}`))
    const given = Buffer.from(signature ?? '')
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new Refusal(401, 'Unauthorized', 'JWSError JWSInvalidSignature')
    }
    const algorithm = JSON.parse(Buffer.from(header, 'base64url')).alg
    if (algorithm !== 'HS256') throw new Refusal(401, 'Unauthorized', 'JWSError')
    const content = JSON.parse(Buffer.from(claims, 'base64url'))
    if (content.exp && content.exp < Date.now() / 1000) throw new Refusal(401, 'Unauthorized', 'JWT expired')
    return content
  }

  // The token to act with: an opaque key becomes its role's token unless a user's token comes with it.
  // A legacy key is a token itself. An opaque key as a bearer token is refused, as it is no token.
  admit(request) {
    const key = request.headers.apikey
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (!key) throw new Refusal(401, 'Unauthorized', 'No API key found in request')
    if (bearer?.startsWith('sb_')) throw new Refusal(401, 'Unauthorized', 'Invalid JWT: an API key is not a token')
    const minted = this.opaque.get(key)
    if (!minted && !this.isLegacyKey(key)) throw new Refusal(401, 'Unauthorized', 'Invalid API key')
    return bearer ?? minted ?? key
  }

  isLegacyKey(key) {
    try {
      return ['anon', 'service_role'].includes(this.verify(key).role)
    } catch {
      return false
    }
  }
}
