// A real pusher-js client. Arguments: key, host, port, channel...; prints one JSON line for each event it gets.
import { createRequire } from 'node:module';

const Pusher = createRequire(import.meta.url)('pusher-js');
const [key, host, port, ...channels] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify({ at: Date.now() / 1000, ...line })}\n`);

const pusher = new Pusher(key, {
  cluster: 'mt1', wsHost: host, wsPort: Number(port), forceTLS: false, enabledTransports: ['ws'], disableStats: true,
});
pusher.connection.bind('state_change', ({ current }) => say({ event: 'state', data: current }));
for (const name of channels) {
  const channel = pusher.subscribe(name);
  channel.bind_global((event, data) => say({ channel: name, event, data }));
}
process.stdin.on('end', () => process.exit(0)).resume();
