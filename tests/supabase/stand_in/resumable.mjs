// Resumable uploads by the real @tus/server, with the checks that Supabase's storage server adds.

import { readFile, unlink } from 'node:fs/promises'

import { Refusal } from './answers.mjs'

const CHUNK = 6 * 1024 * 1024

function refuse(error) {
  const { status, message } = error instanceof Refusal ? error : Refusal.from(error)
  throw { status_code: status, body: message }
}

export function resumableUploads({ Server }, { FileStore }, objects, gatekeeper, folder) {
  const directory = `${folder}/uploads`
  const node = (request) => request.runtime.node.req
  const claims = (request) => gatekeeper.verify(node(request).caller)
  const upsert = (request) => request.headers.get('x-upsert') === 'true'
  const place = ({ metadata }) => ({ bucket: metadata.bucketName, name: metadata.objectName })

  return new Server({
    path: '/storage/v1/upload/resumable',
    datastore: new FileStore({ directory }),
    async onIncomingRequest(request, id) {
      try {
        claims(request)
        if (request.method !== 'PATCH') return
        const { size } = JSON.parse(await readFile(`${directory}/${id}.json`, 'utf8').catch(() => '{}'))
        const length = Number(request.headers.get('content-length'))
        const left = size - Number(request.headers.get('upload-offset'))
        if (length > CHUNK || (length < CHUNK && length < left && request.headers.has('content-length'))) {
          throw new Refusal(400, 'InvalidChunk', 'chunks must be 6 MB, the last one excepted')
        }
      } catch (error) {
        refuse(error)
      }
    },
    async onUploadCreate(request, upload) {
      try {
        await objects.permit(claims(request), place(upload), upsert(request))
      } catch (error) {
        refuse(error)
      }
      return {}
    },
    async onUploadFinish(request, upload) {
      try {
        await objects.adopt(claims(request), place(upload), `${directory}/${upload.id}`, upload.size,
          upload.metadata.contentType, upsert(request))
        await unlink(`${directory}/${upload.id}.json`)
      } catch (error) {
        refuse(error)
      }
      return {}
    },
  })
}
