import assert from 'node:assert/strict'
import { test } from 'node:test'

import { CommandExitError, FileNotFoundError, TimeoutError } from 'e2b'

import { withSandbox } from './server.js'

test('commands separate streams and fail with their code', () =>
  withSandbox(async (sandbox) => {
    const done = await sandbox.commands.run('pwd; echo err >&2', { cwd: '/tmp' })
    assert.deepEqual([done.stdout, done.stderr, done.exitCode], ['/tmp\n', 'err\n', 0])
    await assert.rejects(sandbox.commands.run('exit 7'), (error) => {
      assert.ok(error instanceof CommandExitError)
      return error.exitCode === 7
    })
  }))

test('commands take input and stream output', () =>
  withSandbox(async (sandbox) => {
    let seen = ''
    const handle = await sandbox.commands.run('read x; echo got $x', {
      background: true,
      stdin: true,
      onStdout: (text) => { seen += text },
    })
    await sandbox.commands.sendStdin(handle.pid, 'it\n')
    await handle.wait()
    assert.equal(seen, 'got it\n')
  }))

test('a command past its timeout is a timeout error', () =>
  withSandbox(async (sandbox) => {
    await assert.rejects(sandbox.commands.run('sleep 100', { timeoutMs: 1000 }), TimeoutError)
  }))

test('a terminal takes input and knows its size', () =>
  withSandbox(async (sandbox) => {
    let output = ''
    const onData = (data) => { output += new TextDecoder().decode(data) }
    const terminal = await sandbox.pty.create({ rows: 24, cols: 80, onData })
    await sandbox.pty.resize(terminal.pid, { rows: 30, cols: 100 })
    await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode('stty size; exit\n'))
    await terminal.wait()
    assert.match(output, /30 100/)
  }))

test('files are written, read, listed, renamed and removed', () =>
  withSandbox(async (sandbox) => {
    await sandbox.files.write([{ path: 'd/a', data: 'ü' }, { path: 'd/b', data: 'b' }])
    assert.equal(await sandbox.files.read('d/a'), 'ü')
    assert.deepEqual((await sandbox.files.list('d')).map((entry) => entry.name), ['a', 'b'])
    await sandbox.files.rename('d/a', 'd/c')
    assert.equal(await sandbox.files.exists('d/a'), false)
    await sandbox.files.remove('d')
    await assert.rejects(sandbox.files.read('d/c'), FileNotFoundError)
  }))

test('a signed URL downloads a file', () =>
  withSandbox(async (sandbox) => {
    await sandbox.files.write('f', 'by url')
    const url = await sandbox.downloadUrl('f', { useSignatureExpiration: 60 })
    assert.equal(await (await fetch(url)).text(), 'by url')
  }))

test('watching a folder reports a new file', () =>
  withSandbox(async (sandbox) => {
    await sandbox.files.makeDir('w')
    let handle
    const created = new Promise((resolve) => {
      handle = sandbox.files.watchDir('w', (event) => event.type === 'create' && resolve(event))
    })
    await handle
    await sandbox.files.write('w/f', 'x')
    assert.equal((await created).name, 'f')
    await (await handle).stop()
  }))
