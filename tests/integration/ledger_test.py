# SPDX-License-Identifier: MIT
"""examples/ledger on a PostgreSQL of its own: what clients and operators see of a database that works,
goes, freezes and comes back, and of an upgrade in the middle of it."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from admin import AdminServer  # noqa: E402
from endure import SLOW, eventually  # noqa: E402
from postgres import USER, Postgres  # noqa: E402
from support import LIMIT, Suite, ask, check, connect, equal, program, request, run  # noqa: E402

suite = Suite("ledger")
# Who is not meant to be late has all the time, and else a little more than it takes.
PATIENT, SHORT = "--postgres.timeout=60s", f"--postgres.timeout={SLOW}s"
postgres = None  # one for all tests; each has a database of its own


class Ledger(AdminServer):
    """The program, on a fresh database."""

    def __init__(self, folder, *flags, env=None, url=None):
        self.database = postgres.database()
        super().__init__([program("ledger"), "--http.address=127.0.0.1:0",
                          "--postgres.url=" + (url or postgres.url)(self.database), PATIENT, *flags], folder, env,
                         probation="0s")
        self.http = self.address("http")

    def balance(self, account):
        """In cents; None: there is no such account."""
        answer = request(self.http, "GET", f"/accounts/{account}")
        if answer.status == 404:
            return None
        equal(answer.status, 200, answer.body)
        return json.loads(answer.body)["cents"]

    def transfer(self, name, payer, payee, cents):
        """On a connection of its own."""
        return request(self.http, "PUT", path_of(name, payer, payee, cents))

    def book(self, name, payer, payee, cents):
        """As a client does it that gets no answer in time: it asks again."""
        eventually(lambda: self.transfer(name, payer, payee, cents).status in (200, 201), f"{name} is booked")

    def until(self, name, status, since):
        """Waits until the log says so."""
        return self.wait_for(rf"msg=health logger_scope={name} status={status} ", since=since)

    def chain(self, status):
        """Waits until all three are so, as a scrape sees it."""
        value = {"unhealthy": 2, "healthy": 4}[status]
        for name in ("postgres", "ledger", "wallet"):
            series = rf'srun_health_status\{{.*service="{name}".*\}}'
            eventually(lambda wanted=series: metric(self, wanted) == value, f"{name} is {status}")

    def stop(self):
        """The program ends, and is looked at."""
        equal(super().stop(), 0, "exit code")
        self.books()

    def books(self):
        """They are in order, and all connections are closed."""
        equal(sums(self.database), ["0", "0"], "sum of all balances, and what does not fit the transfers")
        postgres.left(self.database)


def path_of(name, payer, payee, cents):
    return f"/transfers/{name}?from={payer}&to={payee}&cents={cents}"


def sums(database):
    return postgres.query(
        database, "SELECT sum(cents) FROM accounts",
        "SELECT count(*) FROM accounts a WHERE cents <> coalesce((SELECT sum(CASE a.id WHEN payee THEN"
        " t.cents ELSE -t.cents END) FROM transfers t WHERE a.id IN (payer, payee)), 0)")


def answer_of(response):
    return response.status, json.loads(response.body)


def metric(server, pattern):
    """The value of the first series that matches, or None."""
    match = re.search(rf"^{pattern} (\S+)$", server.get("/metrics").body.decode(), re.M)
    return float(match.group(1)) if match else None


@contextlib.contextmanager
def somebody_holds(database, account):
    """A transaction of somebody else has locked this account."""
    argv = [os.path.join(postgres.binaries, "psql"), "-XAtq", "-d", postgres.url(database)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        session.stdin.write(f"BEGIN; SELECT id FROM accounts WHERE id = '{account}' FOR UPDATE;\n")
        session.stdin.flush()
        equal(session.stdout.readline().strip(), account, "locked")
        try:
            yield
        finally:
            session.stdin.close()


# All is well


@suite.test
def a_transfer_moves_money(folder):
    with Ledger(folder) as ledger:
        equal(ledger.balance("alice"), None, "alice before")
        equal(answer_of(ledger.transfer("1", "bank", "alice", 10000)),
              (201, {"transfer": "1", "booked": "now"}))
        equal(answer_of(ledger.transfer("2", "alice", "bob", 2500))[0], 201, "status")
        equal([ledger.balance(name) for name in ("bank", "alice", "bob")], [-10000, 7500, 2500])
        equal(metric(ledger, r'ledger_transfers_total\{.*result="booked".*\}'), 2)
        check(metric(ledger, r'db_client_operation_duration_seconds_count\{.*"transfer".*\}') == 2,
              "the histogram of queries")
        equal(metric(ledger, r'db_client_connection_count\{.*"used".*\}'), 0, "in use")
        ledger.stop()


@suite.test
def a_transfer_is_booked_once(folder):
    with Ledger(folder) as ledger, concurrent.futures.ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: ledger.transfer("1", "bank", "alice", 100).status, range(24)))
        equal(sorted(answers), [200] * 23 + [201], "statuses")
        equal(ledger.balance("alice"), 100, "alice")
        for other in (("bank", "alice", 101), ("bank", "bob", 100), ("alice", "bank", 100)):
            equal(ledger.transfer("1", *other).status, 409, str(other))
        equal(ledger.balance("alice"), 100, "alice")
        equal(ledger.balance("bob"), None, "bob")
        ledger.stop()


@suite.test
def what_cannot_be_booked_leaves_nothing_behind(folder):
    with Ledger(folder) as ledger:
        equal(ledger.transfer("1", "bank", "alice", 100).status, 201)
        equal(ledger.transfer("2", "alice", "bob", 101).status, 409, "more than there is")
        equal(ledger.transfer("3", "carol", "bob", 1).status, 404, "from nobody")
        equal(ledger.balance("bob"), None, "bob")
        equal(ledger.transfer("2", "alice", "bob", 100).status, 201, "the id was not used")
        equal([ledger.balance("alice"), ledger.balance("bob")], [0, 100])
        ledger.stop()


@suite.test
def bad_input_is_told_what_is_accepted(folder):
    good = "/transfers/1?from=bank&to=bob&cents=1"
    bad = ["/transfers/", "/transfers/1", good.replace("bank", ""), good.replace("bank", "bob"),
           good.replace("bob", "a%20b"), good.replace("bob", "b" * 65), good.replace("/1", "/%27"),
           good.replace("/1", "/a/b")]
    bad += [good[:-1] + cents for cents in ("", "0", "-1", "1.5", "0x1", "1e3", "9" * 13)]
    with Ledger(folder) as ledger, contextlib.closing(connect(ledger.http)) as client:
        for path in bad:
            answer = ask(client, "PUT", path)
            equal(answer.status, 400, path)
            check("accepted is" in answer_of(answer)[1]["error"], answer.body)
        for path in ("/accounts/", "/accounts/" + "a" * 65, "/accounts/%C3%A9"):
            equal(ask(client, "GET", path).status, 400, path)
        equal(ask(client, "GET", "/").status, 404)
        refused = ask(client, "POST", good)
        equal((refused.status, refused.headers["Allow"]), (405, "PUT"))
        equal(ask(client, "PUT", good, body=b"x").status, 413, "a body")
        equal(postgres.query(ledger.database, "SELECT count(*) FROM transfers"), ["0"])
        ledger.stop()


@suite.test
def a_request_is_a_trace_with_its_query(folder):
    """The receiver is nobody: a trace of the admin port is enough."""
    traced = {"SRUN_OTEL_TRACE_EXPORTER": "http", "SRUN_OTEL_TRACE_EXPORTER_ENDPOINT": "http://127.0.0.1:9"}
    with Ledger(folder, env=traced) as ledger, concurrent.futures.ThreadPoolExecutor(1) as clients:
        trace = clients.submit(ledger.get, "/debug/pprof/trace?seconds=0.5")
        count = 0
        while not trace.done():
            count += 1
            equal(ledger.transfer(f"{count}", "bank", "alice", 1).status, 201)
        spans = [event for event in json.loads(trace.result().body)["traceEvents"]
                 if "span_id" in event.get("args", {})]
        names = {event["args"]["span_id"]: event["name"] for event in spans}
        pairs = {(names.get(event["args"].get("parent_span_id")), event["name"]) for event in spans}
        check(("PUT /transfers/", "transfer") in pairs, str(pairs))
        ledger.stop()


# The database goes, and comes back


@suite.test
def a_database_that_stops_is_heard_of_at_once(folder):
    """By the push alone: the next check is half a minute away."""
    with Ledger(folder) as ledger, contextlib.closing(connect(ledger.http)) as client:
        equal(ask(client, "PUT", path_of("1", "bank", "alice", 5)).status, 201)
        equal(ledger.get("/ready").status, 200, "ready")
        since = ledger.mark_now()
        postgres.stop()
        try:
            for name in ("postgres", "ledger", "wallet"):
                ledger.until(name, "unhealthy", since)
            told = [record for record in ledger.records if record.get("status") == "unhealthy"]
            equal([(one["logger_scope"], one["source"]) for one in told],
                  [(name, "pushed") for name in ("postgres", "ledger", "wallet")], "who was told")
            refused = ask(client, "PUT", path_of("2", "bank", "alice", 5))
            equal((refused.status, refused.headers["Retry-After"]), (503, "1"))
            check("nothing was booked" in answer_of(refused)[1]["error"], refused.body)
            equal(ask(client, "GET", "/accounts/alice").status, 503)
            equal([ledger.get(path).status for path in ("/ready", "/health", "/livez")], [500, 500, 200])
            ledger.chain("unhealthy")
        finally:
            postgres.start()
        ledger.chain("healthy")
        equal(ledger.get("/ready").status, 200, "ready")
        equal(ask(client, "GET", "/accounts/alice").body, b'{"account":"alice","cents":5}\n')
        equal(ledger.transfer("2", "bank", "alice", 5).status, 201, "the same transfer, later")
        equal(len(ledger.pids), 1, "generations")
        ledger.stop()


@suite.test
def refusals_cost_no_time(folder):
    """Many of them, while the database is away, on one connection: none waits for it."""
    with Ledger(folder) as ledger:
        since = ledger.mark_now()
        postgres.stop()
        try:
            ledger.until("wallet", "unhealthy", since)
            with contextlib.closing(connect(ledger.http)) as client:
                started = time.monotonic()
                for _ in range(200):
                    equal(ask(client, "GET", "/accounts/alice").status, 503)
                took = time.monotonic() - started
            check(took < 60, f"{took:.1f} s, as if one had waited")
        finally:
            postgres.start()
        ledger.chain("healthy")
        ledger.stop()


@suite.test
def a_frozen_database_holds_nobody(folder):
    with Ledger(folder, SHORT, "--postgres.connections=2",
                env={"SRUN_HEALTH_INTERVAL": f"{SLOW}s"}) as ledger:
        ledger.book("1", "bank", "alice", 100)
        since = ledger.mark_now()
        with postgres.frozen(), concurrent.futures.ThreadPoolExecutor(8) as clients:
            # All at once: some get a connection, which stays silent, and some none.
            started = time.monotonic()
            answers = list(clients.map(lambda n: ledger.transfer(f"f{n}", "alice", "bob", 1).status,
                                       range(8)))
            check(time.monotonic() - started < LIMIT / 2, "somebody was held")
            check(set(answers) <= {503, 504} and 504 in answers, str(answers))
            ledger.until("wallet", "unhealthy", since)
            heard = ledger.until("postgres", "unhealthy", since).string
            check("source=pushed" not in heard, heard)
            equal(ledger.transfer("2", "alice", "bob", 1).status, 503)
            equal(ledger.get("/ready").status, 500, "ready")
        ledger.chain("healthy")
        # Who was not told does not know; asking again with the same id tells.
        for n in range(8):
            ledger.book(f"f{n}", "alice", "bob", 1)
        equal(postgres.query(ledger.database, "SELECT cents FROM accounts ORDER BY id"), ["92", "-100", "8"])
        eventually(lambda: metric(ledger, r'db_client_connection_count\{.*"used".*\}') == 0, "none in use")
        ledger.stop()


@suite.test
def a_lost_backend_is_no_news(folder):
    with Ledger(folder) as ledger:
        for round_ in range(3):
            equal(ledger.transfer(str(round_), "bank", "alice", 1).status, 201)
            pids = postgres.query("postgres", "SELECT pg_terminate_backend(pid, 60000), pid FROM "
                                  f"pg_stat_activity WHERE datname = '{ledger.database}'")
            check(len(pids) >= 2, str(pids))
            eventually(lambda: postgres.backends(ledger.database) >= 1, "a new one that listens")
            equal(ledger.balance("alice"), round_ + 1)
        equal([line for line in ledger.lines if "unhealthy" in line or "WARN" in line], [], "complaints")
        ledger.stop()


@suite.test
def who_waits_too_long_is_told_that_it_may_be_booked(folder):
    with Ledger(folder, SHORT, "--postgres.connections=1") as ledger, \
            concurrent.futures.ThreadPoolExecutor(4) as clients:
        ledger.book("1", "bank", "alice", 100)
        with somebody_holds(ledger.database, "alice"):
            answers = list(clients.map(lambda n: ledger.transfer(f"w{n}", "alice", "bob", 1).status,
                                       range(4)))
            check(set(answers) <= {503, 504}, str(answers))
        for n in range(4):
            ledger.book(f"w{n}", "alice", "bob", 1)
        equal(postgres.query(ledger.database, "SELECT cents FROM accounts ORDER BY id"), ["96", "-100", "4"])
        ledger.stop()


@suite.test
def a_password_in_the_url_is_shown_to_nobody(folder):
    word, host = "open-sesame", postgres.folder.replace("/", "%2F")
    for url in (lambda name: f"postgresql://{USER}:{word}@{host}/{name}",
                lambda name: f"host={postgres.folder} user={USER} password={word} dbname={name}"):
        with Ledger(folder, url=url) as ledger:
            for path in ("/flags", "/status.json", "/config", "/"):
                check(word not in ledger.get(path).body.decode(), f"{path} shows it, of {url('x')}")
            ledger.stop()
            check(word not in "\n".join(ledger.lines), f"the log shows it, of {url('x')}")


# Starts, stops, upgrades


class Clients:
    """Each moves a cent at a time, in circles, on a connection that it keeps, until stop()."""

    MOST = 3000  # transfers of each

    def __init__(self, address, count):
        self.statuses, self.lost, self._more = [], [], threading.Condition()
        self._stopping, self._address = False, address
        self._threads = [threading.Thread(target=self._client, args=(n,), daemon=True)
                         for n in range(count)]
        for thread in self._threads:
            thread.start()

    def _client(self, number):
        names = [f"a{n % 3}" for n in range(number, number + 2)]
        with contextlib.closing(connect(self._address)) as connection:
            for turn in range(self.MOST):
                if self._stopping:
                    return
                try:
                    status = ask(connection, "PUT", path_of(f"{number}-{turn}", *names, 1)).status
                except (OSError, http.client.HTTPException) as error:
                    status = repr(error)
                with self._more:
                    self.statuses.append(status)
                    self._more.notify_all()

    def wait(self, more):
        """Until so many more have been answered."""
        with self._more:
            wanted = len(self.statuses) + more
            check(self._more.wait_for(lambda: len(self.statuses) >= wanted, LIMIT), "too few answers")

    def stop(self):
        """All statuses."""
        self._stopping = True
        for thread in self._threads:
            thread.join(LIMIT)
            check(not thread.is_alive(), "a client still waits")
        return self.statuses


@suite.test
def an_upgrade_under_load_loses_no_transfer(folder):
    with Ledger(folder) as ledger:
        for n in range(3):
            equal(ledger.transfer(f"s{n}", "bank", f"a{n}", 100000).status, 201)
        clients = Clients(ledger.http, 6)
        clients.wait(60)
        for _ in range(3):
            ledger.upgrade(ended=True)
            clients.wait(60)
        statuses = clients.stop()
        equal(set(statuses), {201}, "statuses")
        equal(postgres.query(ledger.database, "SELECT count(*) FROM transfers"), [str(len(statuses) + 3)])
        equal(ledger.generation, 4, "generation")
        equal(sum(ledger.balance(f"a{n}") for n in range(3)), 300000)
        ledger.stop()


@suite.test
def an_upgrade_without_a_database_fails_and_the_old_one_serves_on(folder):
    with Ledger(folder) as ledger:
        equal(ledger.transfer("1", "bank", "alice", 1).status, 201)
        since = ledger.mark_now()
        postgres.stop()
        try:
            ledger.until("wallet", "unhealthy", since)
            ledger.ask()
            ledger.wait_for("upgrade.*fail", since=since)
            equal(ledger.transfer("2", "bank", "alice", 1).status, 503)
        finally:
            postgres.start()
        ledger.chain("healthy")
        ledger.upgrade(ended=True)
        equal(ledger.transfer("2", "bank", "alice", 1).status, 201)
        ledger.stop()


@suite.test
def a_stop_answers_what_is_under_way_and_goes_in_reverse(folder):
    with Ledger(folder) as ledger, concurrent.futures.ThreadPoolExecutor(1) as clients:
        equal(ledger.transfer("1", "bank", "alice", 100).status, 201)
        with somebody_holds(ledger.database, "alice"):
            late = clients.submit(ledger.transfer, "2", "alice", "bob", 1)
            eventually(lambda: metric(ledger, r'db_client_connection_count\{.*"used".*\}') == 1, "in use")
            os.kill(ledger.pid, signal.SIGTERM)
            ledger.wait_for("msg=draining .*requests=1")
        answer = late.result(LIMIT)
        equal((answer.status, answer.headers["Connection"]), (201, "close"))
        equal(ledger.finish(), 0, "exit code")
        ledger.books()
        order = [record["logger_scope"] for record in ledger.with_message("STOPPED")]
        equal(order[:3], ["wallet", "ledger", "postgres"], "order")


@suite.test
def a_start_without_its_database_says_why(folder):
    nobody = os.path.join(folder, "nobody")
    os.mkdir(nobody)
    postgres.query("postgres", "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
    name = postgres.database()
    for url, what in ((postgres.url(name, host=nobody), "service postgres: init: .*No such file"),
                      (postgres.url("nowhere"), 'service postgres: init: .*database "nowhere" does not'),
                      (postgres.url(name, user="reader"), "service ledger: init: .*permission denied"),
                      ("postgresql://[", "service postgres: init: ")):
        code, _, log = run([program("ledger"), "--http.address=127.0.0.1:0", "--postgres.url=" + url],
                           folder)
        equal(code, 1, f"exit code with {url}")
        check(re.search(what, log.replace('\\"', '"')), f"{what}:\n{log}")


@suite.test
def a_frozen_database_does_not_hold_the_start(folder):
    name = postgres.database()
    with postgres.frozen():
        code, _, log = run([program("ledger"), "--http.address=127.0.0.1:0", "--postgres.timeout=100ms",
                            "--postgres.url=" + postgres.url(name)], folder)
    equal(code, 1, "exit code")
    check("the database does not answer in time" in log, log)


@suite.test
def flags_say_what_is_accepted(folder):
    for flag, accepted in (("--postgres.connections=0", "1 to 64"), ("--postgres.connections=65", "1 to 64"),
                           ("--postgres.timeout=0s", "1ms to 1m"), ("--postgres.timeout=2m", "1ms to 1m")):
        code, _, log = run([program("ledger"), "--http.address=127.0.0.1:0", flag], folder)
        equal(code, 1, f"exit code of {flag}")
        check(flag.split("=")[0] in log and accepted in log, log)


if "--list" in sys.argv:
    suite.main()
with Postgres() as postgres:
    suite.main()
