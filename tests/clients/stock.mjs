// The stock JavaScript client, nats.js 3, against the server in NATS_URL: whatever goes otherwise ends it with an
// error. Its packages lie below NODE_MODULES.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const packages = createRequire(`${process.env.NODE_MODULES}/`);
const { connect, headers, errors } = packages("@nats-io/transport-node");
const { AckPolicy, jetstream, jetstreamManager } = packages("@nats-io/jetstream");

const WAIT = 15_000;

async function take(subscription, count) {
  const taken = [];
  for await (const message of subscription) {
    taken.push(message);
    if (taken.length === count) break;
  }
  return taken;
}

async function core(client) {
  const heard = client.subscribe("weather.*", { max: 1, timeout: WAIT });
  const everything = client.subscribe("weather.>", { max: 2, timeout: WAIT });
  const own = headers();
  own.append("App", "shop");
  own.append("App", "bar");
  client.publish("weather.north", "cold", { headers: own });
  client.publish("weather.north.sea", "wet");
  const [message] = await take(heard, 1);
  assert.equal(message.subject, "weather.north");
  assert.equal(message.string(), "cold");
  assert.deepEqual(message.headers.values("App"), ["shop", "bar"]);
  assert.deepEqual((await take(everything, 2)).map((message) => message.string()), ["cold", "wet"]);

  for (let member = 0; member < 2; member += 1) {
    client.subscribe("shout", {
      queue: "shouters",
      callback: (error, request) => {
        assert.equal(error, null);
        request.respond(request.string().toUpperCase());
      },
    });
  }
  for (const text of ["one", "two", "three"]) {
    const answer = await client.request("shout", text, { timeout: WAIT });
    assert.equal(answer.string(), text.toUpperCase());
  }
  await assert.rejects(
    client.request("nobody.listens", "", { timeout: WAIT }),
    (error) => error instanceof errors.NoRespondersError || error.cause instanceof errors.NoRespondersError,
  );
}

// The queue jobs, which is there already, as the stream that it is.
async function queue(client) {
  const stream = jetstream(client, { timeout: WAIT });
  let ack = await stream.publish("$Q.jobs", "one");
  assert.deepEqual([ack.stream, ack.seq, ack.duplicate], ["Q_jobs", 1, false]);
  for (const duplicate of [false, true]) {
    ack = await stream.publish("$Q.jobs", "two", { msgID: "order-17" });
    assert.deepEqual([ack.seq, ack.duplicate], [2, duplicate]);
  }
  const workers = await stream.consumers.get("Q_jobs", "workers");
  const [first, second] = await take(await workers.fetch({ max_messages: 2, expires: WAIT }), 2);
  assert.deepEqual([first.string(), first.seq, first.info.deliveryCount], ["one", 1, 1]);
  assert.equal(second.string(), "two");
  assert.equal(await first.ackAck(), true);
  second.nak();
  const again = await workers.next({ expires: WAIT });
  assert.deepEqual([again.string(), again.info.deliveryCount], ["two", 2]);
  assert.equal(await again.ackAck(), true);
  assert.equal(await workers.next({ expires: 1_000 }), null);
  const manager = await jetstreamManager(client, { timeout: WAIT });
  assert.equal((await manager.streams.info("Q_jobs")).state.messages, 0);
}

async function streams(client) {
  const manager = await jetstreamManager(client, { timeout: WAIT });
  const stream = jetstream(client, { timeout: WAIT });
  const made = await manager.streams.add({ name: "ORDERS", subjects: ["orders.>"] });
  assert.deepEqual(made.config.subjects, ["orders.>"]);
  for (const number of [1, 2, 3]) {
    assert.equal((await stream.publish(`orders.${number}`, `${number}`)).seq, number);
  }
  assert.equal((await manager.streams.getMessage("ORDERS", { seq: 2 })).string(), "2");

  const config = { durable_name: "billing", ack_policy: AckPolicy.Explicit, filter_subject: "orders.*" };
  await manager.consumers.add("ORDERS", config);
  const billing = await stream.consumers.get("ORDERS", "billing");
  const messages = await billing.consume({ max_messages: 10 });
  const got = [];
  for await (const message of messages) {
    got.push(message.string());
    assert.equal(await message.ackAck(), true);
    if (got.length === 3) break;
  }
  await messages.close();
  assert.deepEqual(got, ["1", "2", "3"]);
  const info = await billing.info();
  assert.deepEqual([info.num_pending, info.num_ack_pending, info.ack_floor.stream_seq], [0, 0, 3]);

  assert.equal(await manager.streams.deleteMessage("ORDERS", 2), true);
  assert.equal((await manager.streams.purge("ORDERS")).purged, 2);
  const names = [];
  for await (const info of manager.streams.list()) names.push(info.config.name);
  assert.deepEqual(names.sort(), ["ORDERS", "Q_jobs"]);
  assert.equal(await manager.consumers.delete("ORDERS", "billing"), true);
  assert.equal(await manager.streams.delete("ORDERS"), true);
  await assert.rejects(manager.streams.info("ORDERS"), { code: 10059 });
}

const client = await connect({ servers: process.env.NATS_URL, reconnect: false, timeout: WAIT });
// A server's error that is no answer to anything is a difference too.
const complaints = [];
(async () => {
  for await (const status of client.status()) {
    if (status.type === "error") complaints.push(String(status.error));
  }
})();
await core(client);
await queue(client);
await streams(client);
await client.drain();
assert.deepEqual(complaints, []);
