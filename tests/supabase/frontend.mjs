// Runs the functions of docs/supabase.md against a project, as a signed-in user; prints what they answered.
// argv: module of the page's functions, folder of node packages, URL, publishable key, access token, user id.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [module, packages, url, key, token, user] = process.argv.slice(2)
const { createClient } = createRequire(`${packages}/package.json`)('@supabase/supabase-js')
const page = await import(pathToFileURL(module).href)

const supabase = createClient(url, key, { accessToken: async () => token })
const picture = new Blob([new Uint8Array([137, 80, 78, 71])], { type: 'image/png' })

const first = await page.queueVideo(supabase, user, picture, 'a cat')
const second = await page.queueVideo(supabase, user, picture, 'a dog')
const before = await page.myTasks(supabase)
const cancelled = await page.cancel(supabase, second)
const copy = await page.again(supabase, second)
const location = before[0].id === second ? await supabase.from('tasks').select('params').eq('id', first).single() : null
const input = location.data.params.start_image.replace('storage://', '')
const signed = await page.videoUrl(supabase, { output_location: input })
const bytes = Array.from(new Uint8Array(await (await fetch(signed)).arrayBuffer()))
const forged = await supabase.from('tasks').update({ status: 'Complete' }).eq('id', first)
const after = await page.myTasks(supabase)

console.log(JSON.stringify({
  first, second, copy, cancelled, bytes,
  positions: before.map((task) => task.queue_position),
  forged: forged.error?.code,
  statuses: Object.fromEntries(after.map((task) => [task.id, task.status])),
}))
