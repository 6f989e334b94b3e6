"""The scenarios socketio, socketcluster and cable, each against the server that they are for, and
against servers that they are not for."""

from bench import case, check, failed

OPEN = ("-c", "20", "-r", "400", "-d", "3s")


async def everything_is_answered(server, path, *flags, **wanted):
    """An open loop of three seconds, in which there are pings too."""
    _, record = await server.load(path, *OPEN, *flags)
    check(record, connects__up=20, connects__ended_early=0, connects__still_open=0,
          messages__sent=1200, messages__replied=1200, messages__wrong=0, failures=[], **wanted)
    check(record, latency__ready__samples=20, latency__response__samples=1200)
    return record


async def a_closed_loop_is_answered(server, path, *flags):
    _, record = await server.load(path, "-c", "5", "-d", "1s", *flags)
    check(record, connects__up=5, messages__lost=0, messages__wrong=0, failures=[])
    if record["messages"]["replied"] < 50:
        raise AssertionError(f"hardly an answer: {record['messages']}")


def heard_by_all(record, listeners):
    """Each message that was sent reached that many clients, but for those at the ends."""
    sent, received = record["messages"]["sent"], record["events"]["received"]
    samples = record["latency"]["one_way"]["samples"]
    if not 0.9 * sent * listeners <= received <= 1.1 * sent * listeners or samples < received:
        raise AssertionError(f"{received} of {sent} * {listeners} came, {samples} were stamped")


# Socket.IO ---------------------------------------------------------------------------------------

@case("socketio")
async def events_are_acknowledged(server):
    await everything_is_answered(server, "", "--scenario", "socketio")
    await a_closed_loop_is_answered(server, "/socket.io/", "--scenario", "socketio",
                                    "--payload", "2000")


@case("socketio")
async def a_session_that_begins_with_a_poll_moves_to_a_websocket(server):
    flags = ("--scenario", "socketio", "--namespace", "/moved")
    record = await everything_is_answered(server, "", *flags, "--transport", "upgrade")
    check(record, latency__upgrade__samples=20)
    _, record = await server.load("", *flags, "-c", "3", "-d", "1s")
    failed(record, "ready", "namespace_refused", 3)


@case("socketio")
async def a_session_of_polls_is_answered(server):
    await everything_is_answered(server, "", "--scenario", "socketio", "--transport", "polling")
    flags = ("--scenario", "socketio", "--namespace", "/moved", "--transport", "polling")
    _, record = await server.load("", *flags, "-c", "3", "-d", "1s")
    failed(record, "ready", "namespace_refused", 3)


@case("socketio")
async def a_broadcast_reaches_every_client(server):
    _, record = await server.load("", "--scenario", "socketio", "--event", "chat", "-c", "30",
                                  "-r", "50", "-d", "2s", "--senders", "1")
    check(record, messages__replied=100, failures=[])
    heard_by_all(record, 30)


@case("socketio")
async def a_namespace_wants_its_token(server):
    flags = ("--scenario", "socketio", "--namespace", "/private")
    await everything_is_answered(server, "", *flags, "--auth-token", "open sesame")
    _, record = await server.load("", *flags, "-c", "3", "-d", "1s")
    failed(record, "ready", "namespace_refused", 3)


@case("socketio")
async def an_event_that_is_never_acknowledged_is_lost(server):
    _, record = await server.load("", "--scenario", "socketio", "--event", "silent", "-c", "2",
                                  "-r", "20", "-d", "1s")
    check(record, messages__sent=20, messages__lost=20, failures=[])


# SocketCluster -----------------------------------------------------------------------------------

async def calls_are_answered(server):
    flags = ("--scenario", "socketcluster")
    await everything_is_answered(server, "", *flags)
    await a_closed_loop_is_answered(server, "/socketcluster/", *flags, "--event", "echo")


async def what_is_published_reaches_every_subscriber(server):
    _, record = await server.load("", "--scenario", "socketcluster", "--channel", "news", "-c",
                                  "30", "-r", "50", "-d", "2s", "--senders", "2")
    check(record, messages__replied=100, failures=[])
    heard_by_all(record, 30)


for kind in ("socketcluster", "socketcluster_1"):
    case(kind)(calls_are_answered)
    case(kind)(what_is_published_reaches_every_subscriber)


@case("socketcluster")
async def a_good_token_is_taken_and_a_bad_one_is_not(server):
    token = next(line.split()[1] for line in server.process.output if line.startswith("token "))
    flags = ("--scenario", "socketcluster", "--auth-token")
    await everything_is_answered(server, "", *flags, token)
    _, record = await server.load("", *flags, "no.such.token", "-c", "3", "-d", "1s")
    failed(record, "ready", "not_authenticated", 3)


@case("socketcluster")
async def a_secret_channel_and_a_failing_procedure_are_said_to_be(server):
    flags = ("--scenario", "socketcluster", "-d", "1s")
    _, record = await server.load("", *flags, "-c", "3", "--channel", "secret")
    failed(record, "ready", "subscription_rejected", 3)
    _, record = await server.load("", *flags, "-c", "1", "-r", "20", "--event", "refuse")
    check(record, messages__sent=20, messages__lost=20, messages__wrong=0)


# Action Cable ------------------------------------------------------------------------------------

@case("cable", seconds=60)
async def what_is_performed_comes_back(server):
    flags = ("--scenario", "cable", "--channel", "EchoChannel")
    await everything_is_answered(server, "", *flags)
    await a_closed_loop_is_answered(server, "/cable", *flags, "--payload", "2000")


@case("cable", seconds=60)
async def what_is_broadcast_reaches_every_subscriber(server):
    _, record = await server.load("/cable", "--scenario", "cable", "--channel", "EchoChannel",
                                  "--event", "speak", "-c", "20", "-r", "20", "-d", "2s",
                                  "--senders", "1")
    check(record, messages__replied=40, failures=[])
    heard_by_all(record, 19)


@case("cable", seconds=60)
async def a_background_job_s_broadcast_is_measured_until_all_have_it(server):
    trigger = server.url("/announce", "http") + "?text={stamp}"
    channel = ("--scenario", "cable", "--channel", "AnnouncementsChannel", "-c", "25")
    for request in (trigger, f"GET {server.url('/announce', 'http')}"):
        # One request at a time: on a busy host Rails takes 100 ms for one.
        _, record = await server.load("/cable", *channel, "-r", "4", "-d", "5s",
                                      "--trigger", request)
        check(record, messages__sent=20, messages__replied=20, events__received=500, failures=[],
              fan_out__broadcasts=20, fan_out__complete=20, fan_out__expected=500,
              fan_out__received=500, fan_out__duplicates=0)
    missing = server.url("/missing", "http")
    _, record = await server.load("/cable", *channel, "-r", "1", "-d", "3s", "--trigger", missing)
    failed(record, "open", "trigger_failed", 1)


@case("cable", seconds=60)
async def whoever_may_not_subscribe_is_told_so(server):
    flags = ("--scenario", "cable", "-c", "2", "-d", "1s", "--channel")
    _, record = await server.load("/cable", *flags, "LockedChannel")
    failed(record, "ready", "subscription_rejected", 2)
    _, record = await server.load("/cable?token=wrong", *flags, "EchoChannel")
    failed(record, "ready", "unauthorized", 2)
    # Rails does not answer for a channel that there is not.
    _, record = await server.load("/cable", *flags, "NoSuchChannel")
    failed(record, "ready", "no_confirmation", 2)


# Servers of another kind -------------------------------------------------------------------------

@case("websockets")
async def a_server_without_the_subprotocol_is_no_cable(server):
    code, record = await server.load("/", "-c", "2", "-d", "1s", "--scenario", "cable",
                                     "--channel", "X")
    failed(record, "upgrade", "subprotocol_refused", 2)
    if code == 0:
        raise AssertionError("nothing came up, and yet it passed")


@case("ws")
async def an_echo_server_is_none_of_these(server):
    few = ("-c", "2", "-d", "1s", "--scenario")
    # ws agrees to whatever subprotocol comes first.
    _, record = await server.load("/", *few, "cable", "--channel", "X")
    failed(record, "ready", "no_welcome", 2)
    _, record = await server.load("/", *few, "socketio")
    failed(record, "ready", "no_session", 2)
    # It returns our own handshake, which is no response to it.
    _, record = await server.load("/", *few, "socketcluster")
    failed(record, "ready", "not_socketcluster", 2)
