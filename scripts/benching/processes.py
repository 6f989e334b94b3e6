"""Builds the programs, starts them pinned, reads their CPU time and memory, and ends them."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from .bars import Failure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SERVER_CPU, DRIVER_CPU = 0, 1
BUILD_SECONDS = 1800
START_SECONDS = 15
# Below the range that the kernel gives to clients.
PORTS = range(20_000, 30_000)
# What a run may take beyond its own length: connecting 18,000 times, and a slow machine.
PATIENCE = 120
# What drives servers and is compared with ours.
BENCHES = ("limit", "driver", "fastws", "delayed")
# Work outside the server's account that a run may have, of the server's own; tries to get there.
SOFTIRQ_SHARE = 0.15
TRIES = 2


class Child:
    """A process that was started here, and is ended here."""

    def __init__(self, command, cpu, port=None, **pipes):
        cpus = cpu if isinstance(cpu, set) else {cpu}
        pipes.setdefault("stdin", subprocess.DEVNULL)
        self.name = os.path.basename(command[0])
        self.port = port
        self.secure = "--tls-cert" in command
        try:
            self.process = subprocess.Popen(
                command, cwd=ROOT, preexec_fn=lambda: os.sched_setaffinity(0, cpus), **pipes)
        except OSError as error:
            raise Failure(f"cannot start {command[0]}: {error}") from error
        self.pid = self.process.pid

    def cpu_s(self):
        """CPU time of all its threads, user and system (the clock of clock_getcpuclockid(3))."""
        try:
            return time.clock_gettime_ns((~self.pid << 3) | 2) / 1e9
        except OSError as error:
            raise Failure(f"{self.name} is gone: {error}") from error

    def memory(self):
        """Bytes of the process: proportional set size, and anonymous memory."""
        try:
            with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as rollup:
                fields = dict(line.split(":", 1) for line in rollup if ":" in line)
            return tuple(int(fields[name].split()[0]) * 1024 for name in ("Pss", "Anonymous"))
        except (OSError, KeyError) as error:
            raise Failure(f"no memory figures of {self.name}: {error}") from error

    def thread_cpu_s(self, name):
        """CPU time of the threads of that name."""
        tasks = f"/proc/{self.pid}/task"
        total_ns, found = 0, False
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/comm", encoding="utf-8") as comm:
                if comm.read().strip() != name:
                    continue
            with open(f"{tasks}/{task}/schedstat", encoding="ascii") as schedstat:
                total_ns += int(schedstat.read().split()[0])
                found = True
        if not found:
            raise Failure(f"{self.name} has no thread {name}")
        return total_ns / 1e9

    def get(self, path):
        """The content of an answer of the server."""
        try:
            url = f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}{path}"
            trusting = ssl._create_unverified_context() if self.secure else None
            with urllib.request.urlopen(url, timeout=5, context=trusting) as answer:
                return answer.read()
        except (OSError, urllib.error.URLError) as error:
            raise Failure(f"{self.name} {path}: {error}") from error

    def stats(self):
        """What the server says of itself at /stats."""
        try:
            return json.loads(self.get("/stats"))
        except ValueError as error:
            raise Failure(f"{self.name} /stats: {error}") from error

    def end(self, with_signal=signal.SIGKILL):
        """Ends it and waits; SIGKILL after ten seconds if another signal does not do."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


class Host:
    """The built programs, and the children of this run."""

    def __init__(self, server, benches=BENCHES):
        if not {SERVER_CPU, DRIVER_CPU} <= os.sched_getaffinity(0):
            raise Failure("needs CPU 0 for the server and CPU 1 for the generator")
        self.programs = build(server, benches)
        self.softirq = process_named(f"ksoftirqd/{SERVER_CPU}")
        self.children = []
        self.folder = None
        self.ports = iter(PORTS[os.getpid() % 5000:])

    def start(self, kind, *flags, cpus=(SERVER_CPU,), secure=None):
        """Starts a server of that kind and waits until it accepts; with TLS for a kind of key."""
        if secure:
            flags = (*flags, *self.identity(secure))
        # A port of its own each time: the kernel takes down a killed ring's listener later.
        port = next(self.ports)
        child = Child(self._command(kind, port, flags, cpus), set(cpus), port,
                      stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL)
        self.children.append(child)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if child.process.poll() is not None:
                raise Failure(f"{kind} ended at once with {child.process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return child
            except OSError:
                time.sleep(0.02)
        raise Failure(f"{kind} does not accept on port {port} after {START_SECONDS} s")

    def identity(self, key):
        """Flags with a certificate for this run, made when it is first wanted."""
        if self.folder is None:
            self.folder = tempfile.TemporaryDirectory()
        files = [os.path.join(self.folder.name, f"{key}-{name}.pem") for name in ("cert", "key")]
        if not os.path.exists(files[0]):
            option = {"ec": "ec_paramgen_curve:prime256v1", "rsa": "rsa_keygen_bits:2048"}[key]
            command = ["openssl", "req", "-x509", "-newkey", key, "-pkeyopt", option, "-nodes",
                       "-subj", "/CN=localhost", "-days", "2", "-out", files[0], "-keyout",
                       files[1]]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=60)
            except (OSError, subprocess.SubprocessError) as error:
                raise Failure(f"no certificate ({error}); try: apt-get install openssl") from error
        return ("--tls-cert", files[0], "--tls-key", files[1])

    def load(self, server, path, *flags, stdout=subprocess.DEVNULL):
        """Starts the load client against that server."""
        scheme = "http" if path.startswith(("/events", "/channels")) else "ws"
        if server.secure:
            scheme += "s"
            flags = (*flags, "--insecure")
        url = f"{scheme}://127.0.0.1:{server.port}{path}"
        command = [self.programs["ringstorm"], "load", url, "--cores", str(DRIVER_CPU), *flags]
        child = Child(command, DRIVER_CPU, stdout=stdout, stderr=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def loaded(self, server, path, *flags, seconds=0.0):
        """Runs the load client against that server to its end; its record."""
        child = self.load(server, path, *flags, "--json", stdout=subprocess.PIPE)
        try:
            out, _ = child.process.communicate(timeout=seconds + PATIENCE)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"the load client is not done after {late.timeout:.0f} s") from late
        try:
            return json.loads(out)
        except ValueError as error:
            code = child.process.returncode
            raise Failure(f"the load client ended with {code} and no record") from error

    def drive(self, server, mode, protocol, *flags, seconds=0.0, tries=TRIES):
        """Runs the driver against that server and returns what it measured.

        A contended kernel moves the network's work to a thread of its own, which no server is
        charged for. A run with much of that is another experiment: it is done again.
        """
        for _ in range(tries):
            result = self._drive(server, mode, protocol, flags, seconds)
            if result["softirq_cpu_s"] <= result["server_cpu_s"] * SOFTIRQ_SHARE:
                break
        return result

    def drive_beside(self, server, mode, protocol, *flags):
        """Starts the driver against that server, and does not wait for it."""
        command = self._driver(server, mode, protocol, flags)
        child = Child(command, DRIVER_CPU, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.children.append(child)
        return child

    def _drive(self, server, mode, protocol, flags, seconds):
        child = self.drive_beside(server, mode, protocol, *flags)
        try:
            out, error = child.process.communicate(timeout=seconds + PATIENCE)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"the driver is not done after {late.timeout:.0f} s") from late
        if child.process.returncode != 0:
            raise Failure(f"driver {mode} of {server.name}: {error.decode().strip()}")
        return json.loads(out)

    def hold(self, server, protocol, path, steps, *more):
        """Holds connections: yields each step's count while they are open."""
        flags = ["--path", path, "--steps", ",".join(map(str, steps)), *more]
        command = self._driver(server, "hold", protocol, flags)
        child = Child(command, DRIVER_CPU, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE)
        self.children.append(child)
        for _ in steps:
            line = child.process.stdout.readline()
            if not line:
                raise Failure(f"driver hold: {child.process.stderr.read().decode().strip()}")
            yield json.loads(line)["held"]
            child.process.stdin.write(b"\n")
            child.process.stdin.flush()
        child.end()

    @contextlib.contextmanager
    def using(self, program):
        """For the time of the block, that built ringstorm is what is started."""
        usual = self.programs["ringstorm"]
        self.programs["ringstorm"] = program
        try:
            yield
        finally:
            self.programs["ringstorm"] = usual

    def end_all(self):
        """Ends every child that is left."""
        for child in self.children:
            child.end()
        self.children.clear()

    def _driver(self, server, mode, protocol, flags):
        softirq = [] if self.softirq is None else ["--softirq-pid", self.softirq]
        return [self.programs["driver"], mode, "--port", str(server.port), "--protocol", protocol,
                "--pid", str(server.pid), *softirq, *flags]

    def _command(self, kind, port, flags, cpus):
        if kind in ("limit", "fastws", "delayed"):
            return [self.programs[kind], "--port", str(port), *flags]
        return [self.programs["ringstorm"], "serve", "--listen", f"127.0.0.1:{port}",
                "--cores", ",".join(map(str, cpus)), "--engine", kind, *flags]


def process_named(name):
    """The process of that name, if this namespace shows it."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                if comm.read().strip() == name:
                    return pid
        except OSError:
            pass
    return None


def build(server, benches=BENCHES):
    """Builds in release mode and returns where the programs are."""
    wanted = [flag for bench in benches for flag in ("--bench", bench)]
    wanted += ["--bin", "ringstorm"] if server is None else []
    if not wanted:
        return {"ringstorm": os.path.abspath(server)}
    command = ["cargo", "build", "--release", "--message-format=json-render-diagnostics", *wanted]
    try:
        built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=BUILD_SECONDS,
                               check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(f"the build failed: {error}") from error
    messages = map(json.loads, built.stdout.splitlines())
    programs = {message["target"]["name"]: message["executable"] for message in messages
                if message["reason"] == "compiler-artifact" and message["executable"]}
    if server is not None:
        programs["ringstorm"] = os.path.abspath(server)
    return programs
