"""Reads the stream of the topic `room`, publishes to it, and prints what it saw."""

import asyncio
import json
import sys

import nats


async def main(port, count):
    client = await nats.connect(f"nats://127.0.0.1:{port}", connect_timeout=10)
    stream = client.jetstream()
    live = []

    async def note(message):
        live.append([int(message.headers["Nats-Sequence"]), (message.data or b"").hex()])

    await client.subscribe("ws.t.room", cb=note)
    await client.flush()
    # Bytes of every kind and length around the ends of lines and numbers.
    payloads = [bytes(range(256))[: 13 * n] + b"\r\n" * (n % 3) for n in range(count)]
    acks = []
    for number, payload in enumerate(payloads):
        ack = await stream.publish("ws.h.room", payload, headers={"Nats-Msg-Id": f"key {number}"})
        acks.append(ack.seq)
    again = await stream.publish("ws.h.room", b"again", headers={"Nats-Msg-Id": "key 0"})
    assert again.duplicate
    info = await stream.stream_info("ws-t-room")
    kept = []
    for sequence in range(info.state.first_seq, info.state.last_seq + 1):
        message = await stream.get_msg("ws-t-room", seq=sequence, direct=True)
        kept.append([message.seq, (message.data or b"").hex()])
    for _ in range(1000):
        if len(live) >= count:
            break
        await asyncio.sleep(0.01)
    await client.close()
    print(json.dumps({"live": live, "stream": kept, "acks": acks, "again": again.seq}))


asyncio.run(asyncio.wait_for(main(int(sys.argv[1]), int(sys.argv[2])), 60))
