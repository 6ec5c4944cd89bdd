// A local stand-in for the gateway and the storage server of a Supabase project, for tests and demos.
// REST goes on to a real PostgREST; resumable uploads go through the real @tus/server; the other storage
// calls are limited to those that the worker and the tests make. PostgreSQL itself decides who may do what.
//
// argv[2]: a JSON file {modules, database, postgrest, folder, jwtSecret, secretKey, publishableKey, port}.
// Prints {"port": N} once it listens on 127.0.0.1.

import { readFileSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

import { Database } from './database.mjs'
import { answer, Refusal } from './answers.mjs'
import { Gatekeeper } from './gatekeeper.mjs'
import { Objects } from './objects.mjs'
import { forward } from './rest.mjs'
import { resumableUploads } from './resumable.mjs'
import { storageRoutes } from './storage.mjs'

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const locate = createRequire(`${settings.modules}/package.json`)
const load = async (name) => import(pathToFileURL(locate.resolve(name)).href)

const gatekeeper = new Gatekeeper(settings)
const database = new Database((await load('pg')).default, settings.database)
const objects = new Objects(database, settings.folder)
const storage = storageRoutes(objects, gatekeeper)
const resumable = resumableUploads(
  await load('@tus/server'), await load('@tus/file-store'), objects, gatekeeper, settings.folder)

async function route(request, response) {
  const path = new URL(request.url, 'http://localhost').pathname
  if (path.startsWith('/rest/v1/')) {
    return forward(request, response, gatekeeper.admit(request), settings.postgrest)
  }
  if (path.startsWith('/storage/v1/upload/resumable')) {
    request.caller = gatekeeper.admit(request)
    return resumable.handle(request, response)
  }
  if (path.startsWith('/storage/v1/')) {
    return storage(request, response, path.slice('/storage/v1/'.length))
  }
  throw new Refusal(404, 'not_found', 'no such path')
}

const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  route(request, response).catch((error) => {
    request.resume()
    if (response.headersSent) return response.destroy()
    const refusal = error instanceof Refusal ? error : Refusal.from(error)
    answer(response, refusal.httpStatus, refusal.body())
  })
})
server.listen(settings.port ?? 0, '127.0.0.1', () => {
  process.stdout.write(JSON.stringify({ port: server.address().port }) + '\n')
})
