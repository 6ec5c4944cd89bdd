// Objects: a row in storage.objects, written and read as the caller, and a file that the row names.

import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { createHash, randomUUID } from 'node:crypto'
import { pipeline } from 'node:stream/promises'

import { Refusal } from './answers.mjs'

const INSERT = `insert into storage.objects (bucket_id, name, owner_id, metadata, version)
  values ($1, $2, $3, $4, $5)`
const UPSERT = `${INSERT} on conflict (bucket_id, name) do update
  set metadata = excluded.metadata, version = excluded.version, updated_at = now()`

export class Objects {
  constructor(database, folder) {
    this.database = database
    this.folder = folder
  }

  path(version) {
    return `${this.folder}/${version}`
  }

  async insert(client, claims, place, metadata, version, upsert) {
    await client.query(upsert ? UPSERT : INSERT,
      [place.bucket, place.name, claims.sub ?? null, metadata, version])
  }

  // Whether the caller could add this object: tried and taken back.
  async permit(claims, place, upsert) {
    await this.database.as(claims,
      (client) => this.insert(client, claims, place, {}, null, upsert), { keep: false })
  }

  async add(claims, place, stream, contentType, upsert) {
    await this.permit(claims, place, upsert)
    const version = randomUUID()
    const hash = createHash('md5')
    let size = 0
    await mkdir(this.folder, { recursive: true })
    try {
      await pipeline(stream, async function* (chunks) {
        for await (const chunk of chunks) {
          hash.update(chunk)
          size += chunk.length
          yield chunk
        }
      }, createWriteStream(this.path(version)))
      await this.record(claims, place, { size, mimetype: contentType, eTag: `"${hash.digest('hex')}"` }, version, upsert)
    } catch (error) {
      await rm(this.path(version), { force: true })
      throw error
    }
    return version
  }

  async adopt(claims, place, file, size, contentType, upsert) {
    const version = randomUUID()
    await rename(file, this.path(version))
    try {
      await this.record(claims, place, { size, mimetype: contentType }, version, upsert)
    } catch (error) {
      await rename(this.path(version), file)
      throw error
    }
  }

  async record(claims, place, metadata, version, upsert) {
    await this.database.as(claims, (client) => this.insert(client, claims, place, metadata, version, upsert))
  }

  async find(claims, place) {
    const { rows } = await this.database.as(claims, (client) => client.query(
      'select id, name, metadata, version, created_at from storage.objects where bucket_id = $1 and name = $2',
      [place.bucket, place.name]))
    if (!rows.length) throw Refusal.missing()
    return rows[0]
  }

  async list(claims, bucket, prefix) {
    const { rows } = await this.database.as(claims, (client) => client.query(
      'select id, name, metadata from storage.objects where bucket_id = $1 and starts_with(name, $2) order by name',
      [bucket, prefix]))
    return rows
  }

  send(response, object) {
    response.writeHead(200, {
      'content-type': object.metadata.mimetype ?? 'application/octet-stream',
      'content-length': object.metadata.size,
    })
    createReadStream(this.path(object.version)).on('error', () => response.destroy()).pipe(response)
  }
}
