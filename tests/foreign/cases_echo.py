"""The scenarios echo and idle against npm's ws and Python's websockets."""

from bench import case, check


async def an_open_loop_gets_every_echo_back(server):
    code, record = await server.load("/", "-c", "20", "-r", "500", "-d", "2s")
    check(record, connects__up=20, messages__sent=1000, messages__replied=1000,
          messages__wrong=0, failures=[])
    if code not in (0, 98):
        raise AssertionError(f"exit code {code}: {record['verdict']}")


async def a_closed_loop_of_text_gets_every_echo_back(server):
    _, record = await server.load("/", "-c", "5", "-d", "1s", "--text", "--payload", "3000")
    check(record, connects__up=5, messages__lost=0, messages__wrong=0, failures=[])
    if record["messages"]["replied"] < 100:
        raise AssertionError(f"hardly an echo: {record['messages']}")


async def idle_connections_end_in_good_order(server):
    _, record = await server.load("/", "-c", "200", "-d", "1s", "--scenario", "idle")
    check(record, connects__up=200, connects__still_open=0, connects__ended_early=0, failures=[])


for kind in ("ws", "websockets"):
    for sentence in (an_open_loop_gets_every_echo_back, a_closed_loop_of_text_gets_every_echo_back,
                     idle_connections_end_in_good_order):
        case(kind)(sentence)
