"""The scenario chat against a server of chats on npm's ws."""

from bench import case, check


@case("chat")
async def all_are_matched_and_hear_each_other_in_order(server):
    _, record = await server.load("/chat", "-c", "40", "--scenario", "chat", "--iterations", "5",
                                  "--payload", "2000", "--typing")
    check(record, connects__up=40, messages__replied=200, messages__lost=0, messages__wrong=0,
          failures=[])
