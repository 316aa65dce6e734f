/**
 * Evaluates the policy of a stack's bucket with its conditions: who gets in past it, whatever their own policies say.
 *
 * In: the policy that terraform/modules/s3-bucket makes in its test `allowed_principals_alone` (a mock provider; no AWS). Out:
 * a line for each case with another result than expected. Exit 1: there is one, or the policy is not to be found.
 */

import { runSimulation } from '@cloud-copilot/iam-simulate'
import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MODULE = new URL('../../terraform/modules/s3-bucket/', import.meta.url).pathname
const RUN = 'allowed_principals_alone'
const ACCOUNT = '222222222222'
const BUCKET = 'arn:aws:s3:::shop-222222222222-dev-invoices'
const OBJECT = `${BUCKET}/2026/11/1.json`

function policyOfModule() {
  const env = { ...process.env, TF_DATA_DIR: mkdtempSync(join(tmpdir(), 'bucket-policy-')), CHECKPOINT_DISABLE: '1' }
  const terraform = (...args) => execFileSync('terraform', [`-chdir=${MODULE}`, ...args], { env, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] })
  terraform('init', '-backend=false', '-input=false', '-no-color')
  const lines = terraform('test', '-json', '-verbose', '-filter=tests/bucket.tftest.hcl').split('\n').filter(Boolean).map((line) => JSON.parse(line))
  const state = lines.find((line) => line.type === 'test_state' && line['@testrun'] === RUN)
  if (!state) throw new Error(`terraform/modules/s3-bucket has no run ${RUN} that shows its policy`)
  return JSON.parse(state.test_state.outputs.policy.value)
}

// Everything is allowed by the principals' own policies: what is refused here, the bucket refuses.
const everything = [{ name: 'everything', policy: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] } }]
const WHO = {
  function: `arn:aws:iam::${ACCOUNT}:role/shop-222222222222-dev-lister`,
  deployer: `arn:aws:iam::${ACCOUNT}:role/shop-deploy`,
  planner: `arn:aws:iam::${ACCOUNT}:role/slipway/ci/shop-plan`,
  'the planner without its path': `arn:aws:iam::${ACCOUNT}:role/shop-plan`,
  stranger: `arn:aws:iam::${ACCOUNT}:role/somebody`,
}
const HTTPS = { 'aws:SecureTransport': 'true' }
const HTTP = { 'aws:SecureTransport': 'false' }

// Who, what, on what, whether it is allowed; by HTTPS unless said otherwise.
const CASES = [
  ['function', 's3:GetObject', OBJECT, true],
  ['function', 's3:ListBucket', BUCKET, true],
  ['function', 's3:GetObject', OBJECT, false, HTTP],
  ['function', 's3:PutBucketPolicy', BUCKET, false],
  ['deployer', 's3:ListBucket', BUCKET, true],
  ['deployer', 's3:PutBucketPolicy', BUCKET, true],
  ['deployer', 's3:DeleteBucket', BUCKET, true],
  ['deployer', 's3:DeleteObject', OBJECT, true],
  ['deployer', 's3:PutBucketPolicy', BUCKET, false, HTTP],
  // What a plan does: HeadBucket, and the bucket's settings.
  ['planner', 's3:ListBucket', BUCKET, true],
  ['planner', 's3:GetBucketPolicy', BUCKET, true],
  ['planner', 's3:GetLifecycleConfiguration', BUCKET, true],
  ['planner', 's3:GetObject', OBJECT, false],
  ['planner', 's3:GetObjectVersion', OBJECT, false],
  ['planner', 's3:PutObject', OBJECT, false],
  ['planner', 's3:ListBucketVersions', BUCKET, false],
  ['planner', 's3:PutBucketPolicy', BUCKET, false],
  ['planner', 's3:DeleteBucket', BUCKET, false],
  ['the planner without its path', 's3:ListBucket', BUCKET, false],
  ['stranger', 's3:ListBucket', BUCKET, false],
  ['stranger', 's3:GetObject', OBJECT, false],
  ['stranger', 's3:PutObject', OBJECT, false],
  ['stranger', 's3:DeleteObjectVersion', OBJECT, false],
  ['stranger', 's3:PutBucketPolicy', BUCKET, false],
  ['stranger', 's3:DeleteBucketPolicy', BUCKET, false],
  ['stranger', 's3:PutLifecycleConfiguration', BUCKET, false],
]

const policy = policyOfModule()
let wrong = 0
for (const [who, action, resource, expected, transport] of CASES) {
  const arn = WHO[who]
  const judged = await runSimulation(
    {
      request: {
        principal: `arn:aws:sts::${ACCOUNT}:assumed-role/${arn.split('/').at(-1)}/run`,
        action,
        resource: { resource, accountId: ACCOUNT },
        contextVariables: { ...(transport ?? HTTPS), 'aws:PrincipalArn': arn, 'aws:PrincipalIsAWSService': 'false' },
      },
      identityPolicies: everything, serviceControlPolicies: [], resourceControlPolicies: [], resourcePolicy: policy,
    },
    {},
  )
  const result = judged.resultType === 'error' ? JSON.stringify(judged.errors) : judged.overallResult
  if ((result === 'Allowed') !== expected || judged.resultType === 'error') {
    wrong += 1
    console.log(`bucket    ${who}: ${action} on ${resource}${transport ? ' without TLS' : ''}: ${result}, expected ${expected ? 'Allowed' : 'a refusal'}`)
  }
}
console.log(`bucket    ${CASES.length} cases of a stack's bucket policy, ${wrong} with another result than expected`)
process.exit(wrong ? 1 : 0)
