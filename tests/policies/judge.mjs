/**
 * Stands between jobs and the gateway, and judges their calls of S3, KMS and STS by the exact policies, as IAM does: narrow resources,
 * conditions, boundaries, the policies of buckets, keys and roles. What is denied does not reach the emulator, which judges actions alone.
 *
 * In: ROAD, the folder of the test: `policies.json` (by account, what bootstrap says of it) and `keys.jsonl` (access keys with the roles that
 * `tests/ci/issuer.py` gave them for); the gateway's address as the argument. Out: a line on stdout, `listening on URL`; each decision is a line
 * of `$ROAD/judged.jsonl`. A call of an unknown key, or one of S3 or KMS that is not understood here, is denied. It ends when stdin is closed.
 */

import { runSimulation } from '@cloud-copilot/iam-simulate'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { createServer, request as send } from 'node:http'
import { join } from 'node:path'

const ROAD = process.env.ROAD
const gateway = new URL(process.argv[2])
const policies = JSON.parse(readFileSync(join(ROAD, 'policies.json'), 'utf8'))
const roles = new Map()

/** The role of an access key; the issuer writes those of jobs, this proxy learns those of AssumeRole. */
function roleOf(key) {
  const file = join(ROAD, 'keys.jsonl')
  if (!roles.has(key) && existsSync(file)) {
    for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
      const { key: known, role } = JSON.parse(line)
      roles.set(known, role)
    }
  }
  return roles.get(key)
}

/** What a role of CI is called in the outputs of bootstrap: account, environment, plan, apply, read or publisher. */
function named(role) {
  const [, account, name] = /^arn:aws:iam::(\d+):role\/slipway\/ci\/shop-\d+-(.+)$/.exec(role) ?? []
  const [, environment, kind] = /^([a-z]+)-ci-([a-z]+)$/.exec(name ?? '') ?? []
  return { account, environment, kind: kind ?? name, key: environment ? `${environment}/${kind}` : name }
}

const parsed = (text) => (text ? JSON.parse(text) : undefined)

function identityOf(role) {
  const { account, environment, key } = named(role)
  const { permissions, boundaries } = policies[account]
  const own = Object.entries(permissions).filter(([name]) => name === key || name.startsWith(`${key}/`))
  // The publisher's policy is its boundary.
  const boundary = environment ? boundaries[`${environment}/ci`] : permissions.publisher
  return {
    identity: own.map(([name, policy]) => ({ name, policy: JSON.parse(policy) })),
    boundary: boundary ? [{ name: 'boundary', policy: JSON.parse(boundary) }] : undefined,
  }
}

/** Account and policy of a bucket. */
function bucketOf(bucket) {
  for (const [account, made] of Object.entries(policies)) {
    for (const [name, policy] of Object.entries(made.buckets)) {
      const [environment, kind] = name.split('/')
      if (bucket === (kind ? `shop-${account}-${environment}-state` : `shop-${account}-artifacts`)) return { account, policy: parsed(policy) }
    }
  }
  return {}
}

const OBJECT = { GET: 's3:GetObject', HEAD: 's3:GetObject', PUT: 's3:PutObject', POST: 's3:PutObject', DELETE: 's3:DeleteObject' }

function s3(call) {
  const [, bucket, key] = /^\/([^/]+)\/?(.*)$/.exec(decodeURIComponent(call.url.pathname)) ?? []
  const { account, policy } = bucketOf(bucket ?? '')
  const about = { bucketAccount: account, account, policy, context: {} }
  if (!bucket) return undefined
  if (key) {
    const once = call.headers['if-none-match'] ? { 's3:if-none-match': call.headers['if-none-match'] } : {}
    const isPart = call.url.searchParams.has('uploadId') && call.method === 'PUT'
    const context = OBJECT[call.method] === 's3:PutObject' ? { 's3:ObjectCreationOperation': String(!isPart), ...once } : {}
    const action = call.method === 'DELETE' && call.url.searchParams.has('uploadId') ? 's3:AbortMultipartUpload' : OBJECT[call.method]
    return { ...about, action, resource: `arn:aws:s3:::${bucket}/${key}`, context }
  }
  const names = [...call.url.searchParams.keys()]
  if (call.method === 'HEAD' || (call.method === 'GET' && names.some((name) => ['list-type', 'prefix', 'versions'].includes(name)))) {
    return { ...about, action: 's3:ListBucket', resource: `arn:aws:s3:::${bucket}` }
  }
  if (call.method === 'GET' && names.includes('location')) return { ...about, action: 's3:GetBucketLocation', resource: `arn:aws:s3:::${bucket}` }
  if (call.method === 'PUT' && names.includes('policy')) return { ...about, action: 's3:PutBucketPolicy', resource: `arn:aws:s3:::${bucket}` }
  return undefined
}

/** The release key alone has calls here: S3 uses the others. A key is known by its alias or its ARN. */
function kms(call, caller) {
  const action = `kms:${(call.headers['x-amz-target'] ?? '').split('.')[1]}`
  const body = JSON.parse(call.body.toString() || '{}')
  const store = Object.entries(policies).find(([, made]) => made.keys.release)
  const isRelease = body.KeyId === 'alias/shop-release' || body.KeyId === store?.[1].release_key
  const account = isRelease ? store[0] : named(caller).account
  const algorithm = body.SigningAlgorithm ? { 'kms:SigningAlgorithm': body.SigningAlgorithm, 'kms:MessageType': body.MessageType ?? 'RAW' } : {}
  const tags = isRelease ? { 'kms:ResourceAliases': ['alias/shop-release'], 'aws:ResourceTag/Environment': '_store', 'aws:ResourceTag/Project': 'shop' } : {}
  return {
    account, action, resource: isRelease ? store[1].release_key : `arn:aws:kms:eu-central-1:${account}:key/${body.KeyId}`,
    context: { ...algorithm, ...tags }, policy: isRelease ? JSON.parse(store[1].keys.release) : undefined,
  }
}

function sts(call) {
  const form = new URLSearchParams(call.body.toString())
  if (form.get('Action') !== 'AssumeRole') return 'free'
  const resource = form.get('RoleArn')
  const { account, key } = named(resource)
  return { action: 'sts:AssumeRole', resource, account: account ?? resource.split(':')[4], context: {}, policy: parsed(policies[account]?.trust[key]) }
}

/** Returns why a call is denied; nothing where it is allowed. */
async function denial(call, service, caller) {
  const asked = { s3, kms, sts }[service](call, caller)
  if (asked === 'free') return undefined
  if (!asked) return `${service} ${call.method} ${call.url} is not understood`
  const { identity, boundary } = identityOf(caller)
  const { account } = named(caller)
  const judged = await runSimulation(
    {
      request: {
        principal: `arn:aws:sts::${account}:assumed-role/${caller.split('/').at(-1)}/job`,
        action: asked.action,
        resource: { resource: asked.resource, accountId: asked.account ?? account },
        contextVariables: { ...asked.context, 'aws:PrincipalArn': caller, 'aws:SecureTransport': 'true' },
      },
      identityPolicies: identity, permissionBoundaryPolicies: boundary, serviceControlPolicies: [], resourceControlPolicies: [],
      resourcePolicy: asked.policy,
    },
    {},
  )
  const result = judged.resultType === 'error' ? JSON.stringify(judged.errors) : judged.overallResult
  appendFileSync(join(ROAD, 'judged.jsonl'), `${JSON.stringify({ caller, action: asked.action, resource: asked.resource, result })}\n`)
  return result === 'Allowed' ? undefined : `${caller} is not authorized to perform ${asked.action} on ${asked.resource} (${result})`
}

function deny(response, service, why) {
  const isXml = service !== 'kms'
  const body = isXml
    ? `<?xml version="1.0"?><ErrorResponse><Error><Code>AccessDenied</Code><Message>${why}</Message></Error></ErrorResponse>`
    : JSON.stringify({ __type: 'AccessDeniedException', message: why })
  const s3Body = service === 's3' ? `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>${why}</Message></Error>` : body
  response.writeHead(service === 'kms' ? 400 : 403, { 'content-type': isXml ? 'application/xml' : 'application/x-amz-json-1.1' })
  response.end(s3Body)
}

/** Learns the key of a role that was assumed through here. */
function learn(call, answer) {
  const form = new URLSearchParams(call.body.toString())
  const [, key] = /<AccessKeyId>([^<]+)<\/AccessKeyId>/.exec(answer) ?? []
  if (form.get('Action') === 'AssumeRole' && key) roles.set(key, form.get('RoleArn'))
}

const server = createServer((incoming, response) => {
  const chunks = []
  incoming.on('data', (chunk) => chunks.push(chunk))
  incoming.on('end', async () => {
    const call = { method: incoming.method, url: new URL(incoming.url, gateway), headers: incoming.headers, body: Buffer.concat(chunks) }
    const [, key, service] = /Credential=([^/]+)\/\d+\/[^/]+\/([^/]+)\//.exec(incoming.headers.authorization ?? '') ?? []
    try {
      if (['s3', 'kms', 'sts'].includes(service)) {
        const caller = roleOf(key)
        const why = caller ? await denial(call, service, caller) : `the key ${key} is of no role`
        if (why) return deny(response, service, why)
      }
    } catch (error) {
      return deny(response, service, `the judge failed: ${error.stack}`)
    }
    const headers = incoming.rawHeaders.reduce((kept, name, index, all) => {
      if (index % 2 === 0 && !['transfer-encoding', 'connection', 'expect', 'content-length'].includes(name.toLowerCase())) kept.push(name, all[index + 1])
      return kept
    }, [])
    if (call.body.length > 0 || ['POST', 'PUT', 'PATCH'].includes(call.method)) headers.push('Content-Length', String(call.body.length))
    const outgoing = send({ host: gateway.hostname, port: gateway.port, method: incoming.method, path: incoming.url, headers, setHost: false }, (answer) => {
      const parts = []
      answer.on('data', (chunk) => parts.push(chunk))
      answer.on('end', () => {
        const body = Buffer.concat(parts)
        if (service === 'sts') learn(call, body.toString())
        const kept = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !['transfer-encoding', 'connection'].includes(name)))
        response.writeHead(answer.statusCode, kept)
        response.end(body)
      })
    })
    outgoing.on('error', (error) => response.writeHead(502).end(error.message))
    outgoing.end(call.body)
  })
})
server.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
process.stdin.on('end', () => process.exit(0)).resume()
