// drop-client.js for a test that calls it: reads [method, ...arguments] as JSON lines, answers each with a line.
import { createInterface } from 'node:readline';

import { load } from '../js/load.mjs';

const { connect } = await load('drop-client.js');
const client = connect({ api: process.argv[2] });
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...rest] = JSON.parse(line);
  await client[method](...rest).then(say, ({ code, detail }) => say({ code, detail }));
}
process.exit(0);
