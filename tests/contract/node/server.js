// The server under test: options for every SDK call, from the environment.
import { Sandbox } from 'e2b'

const given = {
  apiKey: process.env.CONTRACT_API_KEY,
  apiUrl: process.env.CONTRACT_API_URL,
  sandboxUrl: process.env.CONTRACT_SANDBOX_URL,
}

export const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value))

// Run `use` with a sandbox that is killed afterwards, whatever became of it.
export async function withSandbox(use, choices = {}) {
  const sandbox = await Sandbox.create('base', { ...options, ...choices })
  try {
    return await use(sandbox)
  } finally {
    await sandbox.kill()
  }
}
