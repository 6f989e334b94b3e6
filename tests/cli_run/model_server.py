"""A server of event streams with one thing planted that stops it: model_server.py PORT KIND.

descriptors: it may have 100. accept: a backlog of 8, and 25 ms for each accept. cpu: an event costs
1 ms, each client gets one every 50 ms.
"""

import resource
import selectors
import socket
import sys
import time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
PORT, KIND = int(sys.argv[1]), sys.argv[2]
EVERY, COST, ACCEPT = 0.05, 0.001 if KIND == "cpu" else 0.0, 0.025 if KIND == "accept" else 0.0

if KIND == "descriptors":
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
listener = socket.create_server(("127.0.0.1", PORT), backlog=8 if KIND == "accept" else 4096)
listener.setblocking(False)
watch = selectors.DefaultSelector()
watch.register(listener, selectors.EVENT_READ)
clients = {}  # socket: when its next event is due, and its number


def accept():
    try:
        client, _ = listener.accept()
    except OSError:  # EMFILE, EAGAIN
        time.sleep(0.01)
        return
    time.sleep(ACCEPT)
    client.setblocking(False)
    watch.register(client, selectors.EVENT_READ)


def close(client):
    watch.unregister(client)
    clients.pop(client, None)
    client.close()


def read(client):
    try:
        got = client.recv(4096)
    except OSError:
        got = b""
    if not got:
        close(client)
    elif client not in clients:
        try:
            client.send(HEAD)
        except OSError:
            close(client)
            return
        clients[client] = (time.monotonic(), 0)


def push(now):
    for client, (due, number) in list(clients.items()):
        if due > now:
            continue
        until = time.monotonic() + COST
        while time.monotonic() < until:
            pass
        # The stamp is when it was due: a server that is late is seen to be.
        data = b'{"seq":%d,"sent_ns":%d}' % (number, int(due * 1e9))
        try:
            client.send(b"event: push\nid: %d\ndata: %s\n\n" % (number, data))
            clients[client] = (due + EVERY, number + 1)
        except BlockingIOError:
            pass
        except OSError:
            close(client)


while True:
    for key, _ in watch.select(0.005):
        if key.fileobj is listener:
            accept()
        elif key.fileobj in watch.get_map():
            read(key.fileobj)
    push(time.monotonic())
