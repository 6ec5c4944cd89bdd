// PostgreSQL as the caller: role and claims are set for one transaction, as Supabase's storage server does it.

export class Database {
  constructor(pg, connection) {
    this.pool = new pg.Pool({ ...connection, max: 8, idleTimeoutMillis: 10_000 })
    this.pool.on('error', () => {})
  }

  async as(claims, work, { keep = true } = {}) {
    const client = await this.pool.connect()
    client.on('error', () => {})
    let broken
    try {
      await client.query('begin')
      await client.query("select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
        [claims.role ?? 'anon', JSON.stringify(claims)])
      const result = await work(client)
      await client.query(keep ? 'commit' : 'rollback')
      return result
    } catch (error) {
      broken = error
      await client.query('rollback').then(() => { broken = error.code ? undefined : error }, () => {})
      throw error
    } finally {
      client.release(broken)
    }
  }
}
