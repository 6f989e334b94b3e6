// What the page says and hears, without a page: a connection that comes back by itself.

// Milliseconds before it connects anew: twice as long each time, up to the last.
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
// Who is sent away for good: what it says is no chat, or it was reported.
const FINAL_CODES = new Set([1003, 1008]);

/**
 * Enters the chat at `url` by that name, again and again until `stop()`.
 *
 * `on(event)` is told each message of the server, and three of its own: `connecting`, `lost` with
 * the seconds until the next attempt, and `ended` with the reason.
 */
export function openSession(url, name, on) {
  let socket = null;
  let attempts = 0;
  let timer = null;
  let isStopped = false;

  function connect() {
    clearTimeout(timer);
    timer = null;
    on({ type: "connecting" });
    const made = new WebSocket(url);
    socket = made;
    made.onopen = () => made.send(JSON.stringify({ type: "enter", name }));
    made.onmessage = (event) => {
      if (made !== socket) return;
      attempts = 0;
      on(JSON.parse(event.data));
    };
    made.onclose = (event) => closed(made, event);
  }

  function closed(made, event) {
    if (made !== socket || isStopped) return;
    socket = null;
    if (FINAL_CODES.has(event.code)) {
      isStopped = true;
      on({ type: "ended", reason: event.reason });
      return;
    }
    const longest = Math.min(FIRST_WAIT * 2 ** attempts, LONGEST_WAIT);
    attempts += 1;
    // Those who lost their server together do not come back together.
    const wait = longest * (0.5 + Math.random() / 2);
    timer = setTimeout(connect, wait);
    on({ type: "lost", seconds: Math.ceil(wait / 1000) });
  }

  connect();
  return {
    /** Says that to the server; whether it could. */
    say(message) {
      if (socket?.readyState !== 1) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    /** The network is back: there is nothing to wait for. */
    hurry() {
      if (timer !== null) connect();
    },
    /** The network is gone, which the connection may take long to find out. */
    drop() {
      const gone = socket;
      if (gone === null) return;
      gone.close();
      closed(gone, { code: 1006, reason: "" });
    },
    /** Leaves for good. */
    stop() {
      isStopped = true;
      clearTimeout(timer);
      socket?.close(1000);
      socket = null;
    },
  };
}
