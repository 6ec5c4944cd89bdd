// The storage calls that the worker and the tests make. Everything else is refused by name.

import { Readable } from 'node:stream'

import { answer, Refusal } from './answers.mjs'

const place = (path) => {
  const [bucket, ...rest] = path.split('/').map(decodeURIComponent)
  return { bucket, name: rest.join('/') }
}

async function readJson(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString() || '{}')
}

// The file of an upload: the part named "file" of a form, or the body itself.
async function uploaded(request) {
  const type = request.headers['content-type'] ?? 'application/octet-stream'
  if (!type.startsWith('multipart/form-data')) return { stream: request, type }
  const form = await new Response(Readable.toWeb(request), { headers: { 'content-type': type } }).formData()
  const file = [...form.values()].find((part) => typeof part !== 'string')
  if (!file) throw new Refusal(400, 'invalid_request', 'the form holds no file')
  return { stream: Readable.fromWeb(file.stream()), type: file.type }
}

export function storageRoutes(objects, gatekeeper) {
  const caller = (request) => gatekeeper.verify(gatekeeper.admit(request))

  const routes = [
    ['POST', /^object\/sign\/(.+)$/, async (request, response, path) => {
      const claims = caller(request)
      const { expiresIn } = await readJson(request)
      const target = place(path)
      await objects.find(claims, target)
      const token = gatekeeper.sign({
        url: `${target.bucket}/${target.name}`, exp: Math.floor(Date.now() / 1000) + Number(expiresIn),
      })
      answer(response, 200, { signedURL: `/object/sign/${path}?token=${token}` })
    }],
    ['GET', /^object\/sign\/(.+)$/, async (request, response, path) => {
      const token = new URL(request.url, 'http://localhost').searchParams.get('token') ?? ''
      const target = place(path)
      const { url } = gatekeeper.verify(token)
      if (url !== `${target.bucket}/${target.name}`) throw new Refusal(400, 'InvalidJWT', 'another object')
      objects.send(response, await objects.find({ role: 'service_role' }, target))
    }],
    ['GET', /^object\/info\/(.+)$/, async (request, response, path) => {
      const { id, name, metadata, created_at } = await objects.find(caller(request), place(path))
      answer(response, 200, { id, name, size: metadata.size, content_type: metadata.mimetype, etag: metadata.eTag, created_at })
    }],
    ['POST', /^object\/list\/([^/]+)$/, async (request, response, bucket) => {
      const claims = caller(request)
      const { prefix } = await readJson(request)
      answer(response, 200, await objects.list(claims, bucket, prefix ?? ''))
    }],
    ['GET', /^object\/(?:authenticated\/)?(.+)$/, async (request, response, path) => {
      objects.send(response, await objects.find(caller(request), place(path)))
    }],
    ['POST', /^object\/(.+)$/, async (request, response, path) => {
      const claims = caller(request)
      const { stream, type } = await uploaded(request)
      const target = place(path)
      const id = await objects.add(claims, target, stream, type, request.headers['x-upsert'] === 'true')
      answer(response, 200, { Id: id, Key: `${target.bucket}/${target.name}` })
    }],
  ]

  return async (request, response, path) => {
    for (const [method, pattern, handle] of routes) {
      const match = request.method === method && pattern.exec(path)
      if (match) return handle(request, response, match[1])
    }
    throw new Refusal(501, 'not_implemented', `this stand-in has no ${request.method} ${path.split('/')[0]}`)
  }
}
