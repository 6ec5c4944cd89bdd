// /rest/v1 -> PostgREST on its socket, with the caller's token.

import http from 'node:http'

import { Refusal } from './answers.mjs'

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

export function forward(request, response, token, socketPath) {
  const { apikey, connection, ...headers } = request.headers
  return new Promise((resolve, reject) => {
    const onward = http.request({
      agent,
      socketPath,
      method: request.method,
      path: request.url.slice('/rest/v1'.length),
      headers: { ...headers, authorization: `Bearer ${token}` },
    }, (incoming) => {
      const { connection: _, 'transfer-encoding': __, ...kept } = incoming.headers
      response.writeHead(incoming.statusCode, kept)
      incoming.pipe(response)
      incoming.on('error', () => response.destroy())
      response.on('finish', resolve)
    })
    onward.on('error', () => reject(new Refusal(503, 'Unavailable', 'PostgREST does not answer')))
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  })
}
