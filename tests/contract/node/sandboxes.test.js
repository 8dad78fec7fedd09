import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { AuthenticationError, Sandbox, SandboxNotFoundError, Template } from 'e2b'

import { options, withSandbox } from './server.js'

test('create shows its choices in info', () =>
  withSandbox(async (sandbox) => {
    const info = await sandbox.getInfo()
    assert.equal(info.sandboxId, sandbox.sandboxId)
    assert.equal(info.state, 'running')
    assert.deepEqual(info.metadata, { task: 'a &b' })
    assert.equal((await sandbox.commands.run('echo $COLOUR')).stdout, 'red\n')
  }, { metadata: { task: 'a &b' }, envs: { COLOUR: 'red' } }))

test('a wrong key is an authentication error', async () => {
  const wrong = { ...options, apiKey: 'e2b_' + '0'.repeat(40) }
  await assert.rejects(Sandbox.create('base', wrong), AuthenticationError)
})

test('kill is true once, then the sandbox is not found', () =>
  withSandbox(async (sandbox) => {
    assert.equal(await sandbox.kill(), true)
    assert.equal(await Sandbox.kill(sandbox.sandboxId, options), false)
    assert.equal(await sandbox.isRunning(), false)
    await assert.rejects(sandbox.getInfo(), SandboxNotFoundError)
  }))

test('list filters by metadata and pages', async () => {
  const metadata = { run: randomUUID() }
  const made = [await Sandbox.create('base', { ...options, metadata })]
  made.push(await Sandbox.create('base', { ...options, metadata }))
  try {
    const pages = Sandbox.list({ ...options, query: { metadata }, limit: 1 })
    const found = await pages.nextItems()
    assert.equal(pages.hasNext, true)
    found.push(...(await pages.nextItems()))
    assert.equal(pages.hasNext, false)
    assert.deepEqual(new Set(found.map((item) => item.sandboxId)), new Set(made.map((s) => s.sandboxId)))
  } finally {
    await Promise.all(made.map((sandbox) => sandbox.kill()))
  }
})

test('pause and connect keep processes', () =>
  withSandbox(async (sandbox) => {
    const handle = await sandbox.commands.run('sleep 100', { background: true })
    assert.equal(await sandbox.pause(), true)
    assert.equal((await sandbox.getInfo()).state, 'paused')
    await sandbox.connect()
    const pids = (await sandbox.commands.list()).map((process) => process.pid)
    assert.ok(pids.includes(handle.pid))
    assert.equal(await handle.kill(), true)
  }))

test('setTimeout moves the end', () =>
  withSandbox(async (sandbox) => {
    await sandbox.setTimeout(60_000)
    assert.ok((await sandbox.getInfo()).endAt - Date.now() < 70_000)
  }))

test('a snapshot is a template of the files', () =>
  withSandbox(async (sandbox) => {
    await sandbox.files.write('f', 'then')
    const { snapshotId } = await sandbox.createSnapshot({ mode: 'filesystem' })
    await sandbox.files.write('f', 'now')
    const copy = await Sandbox.create(snapshotId, options)
    try {
      assert.equal(await copy.files.read('f'), 'then')
      const listed = await sandbox.listSnapshots().nextItems()
      assert.deepEqual(listed.map((item) => item.snapshotId), [snapshotId])
    } finally {
      await copy.kill()
      assert.equal(await Sandbox.deleteSnapshot(snapshotId, options), true)
    }
  }))

test('metrics arrive and lie in the window asked for', () =>
  withSandbox(async (sandbox) => {
    let samples = []
    for (let tries = 0; !samples.length && tries < 120; tries++) {
      samples = await sandbox.getMetrics()
      if (!samples.length) await new Promise((resolve) => setTimeout(resolve, 500))
    }
    assert.ok(samples.at(-1).memUsed > 0)
    const end = new Date(Date.now() - 1_800_000)
    assert.deepEqual(await sandbox.getMetrics({ start: new Date(end - 1_800_000), end }), [])
  }))

test('templates are known by name', async () => {
  assert.equal(await Template.exists('base', options), true)
  assert.equal(await Template.exists(`nobody-${randomUUID()}`, options), false)
})
