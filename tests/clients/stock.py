"""The stock Python client, nats-py, against the server in NATS_URL: whatever goes otherwise ends it with an error."""

import asyncio
import os

import nats
from nats.errors import NoRespondersError, TimeoutError
from nats.js.api import ConsumerConfig
from nats.js.errors import NotFoundError

WAIT = 15


def same(found, expected):
    assert found == expected, f"expected {expected!r}, got {found!r}"


async def core(client):
    heard = await client.subscribe("weather.*")
    everything = await client.subscribe("weather.>")
    await client.publish("weather.north", b"cold", headers={"App": "shop"})
    await client.publish("weather.north.sea", b"wet")
    message = await heard.next_msg(WAIT)
    same((message.subject, message.data, message.headers), ("weather.north", b"cold", {"App": "shop"}))
    same([(await everything.next_msg(WAIT)).data for _ in range(2)], [b"cold", b"wet"])
    await heard.unsubscribe()

    async def answer(request):
        await request.respond(request.data.upper())

    for _ in range(2):
        await client.subscribe("shout", queue="shouters", cb=answer)
    for text in (b"one", b"two", b"three"):
        same((await client.request("shout", text, timeout=WAIT)).data, text.upper())
    try:
        await client.request("nobody.listens", b"", timeout=WAIT)
    except NoRespondersError:
        pass
    else:
        raise AssertionError("nobody listens, and somebody answered")


async def queue(client):
    """The queue jobs, which is there already, as the stream that it is."""
    stream = client.jetstream()
    ack = await stream.publish("$Q.jobs", b"one", timeout=WAIT)
    same((ack.stream, ack.seq, ack.duplicate), ("Q_jobs", 1, None))
    for duplicate in (None, True):
        ack = await stream.publish("$Q.jobs", b"two", headers={"Nats-Msg-Id": "order-17"}, timeout=WAIT)
        same((ack.seq, ack.duplicate), (2, duplicate))

    workers = await stream.pull_subscribe_bind("workers", "Q_jobs")
    first, second = await workers.fetch(2, timeout=WAIT)
    same((first.data, second.data), (b"one", b"two"))
    same((first.metadata.sequence.stream, first.metadata.num_delivered), (1, 1))
    await first.ack_sync(timeout=WAIT)
    await second.nak()
    [second] = await workers.fetch(1, timeout=WAIT)
    same((second.data, second.metadata.num_delivered), (b"two", 2))
    await second.ack_sync(timeout=WAIT)
    same((await stream.stream_info("Q_jobs")).state.messages, 0)
    try:
        await workers.fetch(1, timeout=1)
    except TimeoutError:
        pass
    else:
        raise AssertionError("the queue is empty, and a message came")


async def streams(client):
    stream = client.jetstream()
    made = await stream.add_stream(name="ORDERS", subjects=["orders.>"])
    same(made.config.subjects, ["orders.>"])
    for number in range(1, 4):
        ack = await stream.publish(f"orders.{number}", str(number).encode(), timeout=WAIT)
        same(ack.seq, number)
    same((await stream.get_msg("ORDERS", 2)).data, b"2")
    same((await stream.get_last_msg("ORDERS", "orders.3")).seq, 3)

    config = ConsumerConfig(filter_subject="orders.*")
    billing = await stream.pull_subscribe("orders.*", durable="billing", stream="ORDERS", config=config)
    got = await billing.fetch(3, timeout=WAIT)
    same([message.data for message in got], [b"1", b"2", b"3"])
    for message in got:
        await message.ack_sync(timeout=WAIT)
    info = await stream.consumer_info("ORDERS", "billing")
    same((info.num_pending, info.num_ack_pending, info.ack_floor.stream_seq), (0, 0, 3))

    assert await stream.delete_msg("ORDERS", 2)
    try:
        await stream.get_msg("ORDERS", 2)
    except NotFoundError:
        pass
    else:
        raise AssertionError("message 2 is deleted, and was there")
    assert await stream.purge_stream("ORDERS")
    same((await stream.stream_info("ORDERS")).state.messages, 0)
    same(sorted(info.config.name for info in await stream.streams_info()), ["ORDERS", "Q_jobs"])
    assert await stream.delete_consumer("ORDERS", "billing")
    assert await stream.delete_stream("ORDERS")
    try:
        await stream.stream_info("ORDERS")
    except NotFoundError:
        pass
    else:
        raise AssertionError("the stream is deleted, and was there")
    same((await stream.account_info()).streams, 1)


async def main():
    # A server's error that is no answer to anything is a difference too.
    errors = []

    async def noted(error):
        errors.append(repr(error))

    client = await nats.connect(os.environ["NATS_URL"], error_cb=noted, allow_reconnect=False, connect_timeout=WAIT)
    await core(client)
    await queue(client)
    await streams(client)
    await client.flush(WAIT)
    await client.close()
    same(errors, [])


asyncio.run(main())
