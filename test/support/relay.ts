import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';

/** Another address of a server, which nothing tells to be the same. */
export interface Relay {
  address: string;
  close: () => void;
}

/**
 * Passes on every connection, each only after `delayMs`.
 * @param cutAfter what the server has said when the connection is cut, whatever else it says
 */
export async function relayTo(server: string, delayMs = 0, cutAfter?: string): Promise<Relay> {
  const { hostname, port } = new URL(server);
  const sockets: Socket[] = [];
  const relay = createServer((socket) => {
    const onward = connect(Number(port), hostname);
    sockets.push(socket, onward);
    for (const end of [socket, onward]) end.on('error', () => end.destroy());
    void setTimeout(delayMs).then(() => {
      socket.pipe(onward);
      if (cutAfter === undefined) return onward.pipe(socket);
      onward.on('data', (data: Buffer) => {
        const at = data.indexOf(cutAfter);
        if (at < 0) socket.write(data);
        else socket.end(data.subarray(0, at + cutAfter.length));
      });
    });
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  return {
    address: `https://127.0.0.1:${(relay.address() as AddressInfo).port}`,
    close() {
      relay.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
