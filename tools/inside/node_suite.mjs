// What vitest_main.mjs and jest_main.mjs have in common: what they were told, and the facts they
// write to the pipe, one JSON line each, as in sentient_report.py. Both run in the process that
// starts the test files, one at a time, each in a process of its own.
//
// A test is file::suite::test; the second of the same name ends with [2]. Each file is one as well:
// that it loads and ends well. One whose planted test was not come to has ended early.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const MESSAGE_LIMIT = 2000;
const COLOURS = /\u001b\[[0-9;]*m/g;
export const repo = process.cwd();
export const told = JSON.parse(fs.readFileSync(0, 'utf8'));
export const only = [...new Set(told.only.map((test) => path.join(repo, test.split('::')[0])))];
export const limit = told.test_timeout_s * 1000;

// The user's choice of tests by name, and the planted one.
export function withPlanted(pattern) {
  if (!pattern || !told.canary) return pattern;
  return `(?:${pattern.source ?? pattern})|${told.canary}`;
}

const ids = new Map(); // how often each id was given
const collected = [];
export const place = (file) => path.relative(repo, file);

export function write(fact) {
  fs.writeSync(told.pipe, `${JSON.stringify(fact)}\n`);
}

export function idOf(file, names) {
  const id = [place(file), ...names].join('::');
  const count = (ids.get(id) ?? 0) + 1;
  ids.set(id, count);
  return count > 1 ? `${id}[${count}]` : id;
}

export function tell(id, outcome, milliseconds = 0, message = '') {
  collected.push(id);
  const text = message.replace(COLOURS, '').slice(0, MESSAGE_LIMIT);
  const late = outcome === 'failed' && /\btimed out in \d+ms|Exceeded timeout of \d/.test(text);
  const seconds = Math.round(milliseconds) / 1000;
  write({ test: { id, outcome: late ? 'timeout' : outcome, seconds, message: text } });
}

// Files of the repository that its configuration names: nobody may change them afterwards.
export function tellConfiguration(files) {
  const own = files.filter((file) => typeof file === 'string').map(place);
  write({ configuration: own.filter((file) => !/^\.\.|^$|^\/|\bnode_modules\//.test(file)) });
}

export function finish() {
  write({ collected: [...new Set(collected)] });
  write({ finish: 0 });
  process.exit();
}

// The runner's own modules, from where the repository finds them.
export function resolve(...names) {
  let from = path.join(repo, 'package.json');
  for (const name of names) {
    try {
      from = createRequire(from).resolve(name);
    } catch (error) {
      console.error(`Error: ${name} cannot be found from ${from}: is it installed? (${error.code})`);
      process.exit(127);
    }
  }
  return from;
}
