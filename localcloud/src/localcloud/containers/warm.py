"""The fork server of an image: it imports once, never computes, and forks a child for each job.

One file of the standard library only, run by the image's own Python, because what it imports of
localcloud would stand in the way of the jobs' own modules. It talks JSON lines over a socket:
first it is told what to import, then it takes jobs. A job's child waits at its gate, a pipe, until
it has been recorded; then the job itself comes through the gate. Nothing outlives the server's
client: at the socket's end it kills whatever descends from it.

Where there is no safe fork (macOS) the same file runs a job in a fresh interpreter.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import gc
import importlib
import importlib.machinery
import json
import os
import re
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

LINUX = sys.platform == "linux"
ML, HOSTS = "/opt/ml", "/etc/hosts"
_LITERAL = re.compile(r"(?<![\w.-])/opt/ml(?![\w.-])")
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_OBEYED = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
_READ_AT_IMPORT = ("PYTHON", "MPL", "OPENBLAS")
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_MS_RELATIME = 1 << 21
_MAPPING = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) ")
_FILE_MAPPING = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) r-.p .* /")
_MADV_DONTNEED = 4
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_CAPABILITY_VERSION_3 = 0x20080522

Job = dict[str, Any]


# --- the server ---------------------------------------------------------------------------------


class Server:
    """Holds the warm interpreter; `serve` returns only in a job's child."""

    def __init__(self, client: socket.socket, *, fork: bool) -> None:
        self._client = client
        self._fork = fork
        self._mounts, self._refusal = _try_namespace() if LINUX else (False, "this is not Linux")
        self._pids: dict[int, int] = {}
        self._marks: dict[int, str] = {}
        self._gates: dict[int, tuple[int, Job]] = {}
        self._limit: Callable[..., object] | None = None
        self._selector = selectors.DefaultSelector()
        self._selector.register(client, selectors.EVENT_READ)
        self._woken, self._wake = socket.socketpair()
        for each in (self._woken, self._wake):
            each.settimeout(0)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._woken, selectors.EVENT_READ)
        if LINUX:
            _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def preload(self, modules: list[str]) -> None:
        """Import what jobs will need; what this environment lacks is left out."""
        for module in modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        with contextlib.suppress(ImportError):
            self._limit = importlib.import_module("threadpoolctl").ThreadpoolController().limit
        gc.collect()
        gc.freeze()  # a child would copy every page that its collector touches: 0.4 s at its end
        if LINUX:
            _give_back_program_text()

    def serve(self) -> tuple[int, Callable[..., object] | None]:
        """Answer the client until it goes away; in a job's child, return its gate."""
        self._tell({"ready": True, "mounts": self._mounts, "refusal": self._refusal})
        pending = b""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(4096)
                    self._reap()
                    continue
                received = self._client.recv(1 << 20)
                if not received:
                    self._end_everything()
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    gate = self._obey(json.loads(line))
                    if gate is not None:
                        return gate, self._limit

    def _obey(self, request: Job) -> int | None:
        number = request["id"]
        if request["do"] == "start":
            return self._start(number, request)
        if request["do"] == "go" and number in self._gates:
            gate, job = self._gates.pop(number)
            with contextlib.suppress(BrokenPipeError), os.fdopen(gate, "wb") as pipe:
                pipe.write(json.dumps(job).encode())
        if request["do"] == "signal" and number in self._pids:
            try:
                os.killpg(self._pids[number], request["signal"])
            except ProcessLookupError:  # the child is not yet the leader of its group
                os.kill(self._pids[number], request["signal"])
        return None

    def _start(self, number: int, job: Job) -> int | None:
        job.update(mounts=self._mounts, server=os.getpid())
        gate, opener = os.pipe()
        if self._fork:
            pid = os.fork()
            if pid == 0:
                os.setsid()
                self._forget(gate)
                return gate
        else:
            process = subprocess.Popen(
                [sys.executable, __file__, "job", str(gate)],
                pass_fds=[gate], start_new_session=True,
            )  # fmt: skip
            process.returncode = 0  # else the object takes the exit code from `_reap` when it goes
            pid = process.pid
        os.close(gate)
        self._pids[number], self._marks[number] = pid, job["mark"]
        self._gates[number] = (opener, job)
        self._tell({"id": number, "pid": pid})
        return None

    def _forget(self, gate: int) -> None:
        """In the child: nothing of the server stays open, and no object may close a number later.

        A descriptor that is closed behind its object's back is closed again when the object goes,
        and by then its number may belong to a file of the job.
        """
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for each in (self._client, self._woken, self._wake):
            each.close()
        os.closerange(3, gate)
        os.closerange(gate + 1, os.sysconf("SC_OPEN_MAX"))

    def _reap(self) -> None:
        for number, pid in list(self._pids.items()):
            # Its group is killed before its number is given free, so that no other can bear it.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            self._end_orphans(pid, self._marks.pop(number))
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            del self._pids[number]
            opener, _ = self._gates.pop(number, (None, None))
            if opener is not None:
                os.close(opener)
            self._tell({"id": number, "exit": code})
        for pid in set(_children(os.getpid())) - set(self._pids.values()):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def _end_orphans(self, job: int, mark: str) -> None:
        """A container's processes end with its first one: also those that made their own session.

        They come to this process, as their nearest ancestor that takes orphans.
        """
        while True:
            orphans = [
                pid
                for pid in set(_children(os.getpid())) - set(self._pids.values())
                if _session(pid) == job or mark.encode() in _read(f"/proc/{pid}/environ")
            ]
            if not orphans:
                return
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _end_everything(self) -> NoReturn:
        for pid in self._pids.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        while LINUX and (children := _children(os.getpid())):
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        os._exit(0)

    def _tell(self, message: dict[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._client.sendall(json.dumps(message).encode() + b"\n")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _children(pid: int) -> list[int]:
    return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]


def _session(pid: int) -> int:
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[3]) if fields else 0


def _give_back_program_text() -> None:
    """Unmap what importing read of the libraries' files, some 70 MB: it is hardly needed again.

    The pages stay in the system's cache, from where a child that runs them gets them back. Ranges
    that hold anything of this process's own, such as relocated addresses, are left alone.
    """
    where = None
    for line in _read("/proc/self/smaps").splitlines():
        if found := _FILE_MAPPING.match(line):
            where = int(found[1], 16), int(found[2], 16)
        elif _MAPPING.match(line):
            where = None
        elif where and line.split() == [b"Anonymous:", b"0", b"kB"]:
            start, end = where
            _LIBC.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


# --- the job's view of the file system ----------------------------------------------------------


def lay_out(job: Job, *, mounts: bool) -> None:
    """Give a job its view of the file system, or tell it paths instead where there can be none.

    What it installs is its own either way: the image's environment, in the folders `shared`, is
    everybody's.
    """
    own = False
    if mounts:
        enter_namespace(job["root"], job["read_only"], job["hosts"])
        own = _cover(job["shared"], job["packages"])
        _drop_capabilities()
    else:
        _rewrite(job)
    if not own and job["shared"]:
        _install_beside(job)


def _mount(
    source: str | None, target: str, flags: int, kind: bytes | None = None, data: str | None = None
) -> None:
    name, options = source and source.encode(), data and data.encode()
    if _LIBC.mount(name, target.encode(), kind, ctypes.c_ulong(flags), options):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def enter_namespace(root: str, read_only: list[str], hosts: str | None = None) -> None:
    """Make `root` seen as /opt/ml, by this process and what it starts only.

    Without the right to mount, in a user namespace where this user keeps his number. Where
    /opt/ml is not there, an empty file system goes over /opt and its entries are bound into it
    again. Files in `read_only` (paths under /opt/ml) cannot be written, whoever asks. The file
    `hosts` is seen as /etc/hosts.
    """
    user, group = os.geteuid(), os.getegid()
    if user != 0 or _LIBC.unshare(_CLONE_NEWNS):
        if _LIBC.unshare(_CLONE_NEWNS | _CLONE_NEWUSER):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _mount(None, "/", _MS_REC | _MS_PRIVATE)
    if hosts is not None and Path(HOSTS).exists():
        _mount(hosts, HOSTS, _MS_BIND)
    job = os.open(root, os.O_PATH)
    if not Path(ML).is_dir():
        _rebuild_opt()
    _mount(f"/proc/self/fd/{job}", ML, _MS_BIND | _MS_REC)
    os.close(job)
    for path in read_only:
        _write_protect(path)


def _write_protect(path: str) -> None:
    _mount(path, path, _MS_BIND)
    _mount(None, path, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _flags(path))


def _drop_capabilities() -> None:
    """In its own user namespace a process may write its user's read-only files: the objects."""
    if os.geteuid() != 0:
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        _LIBC.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def _cover(shared: list[str], own: str) -> bool:
    """Lay a folder of the job's own over each shared one: what it changes there nobody else sees.

    Where that cannot be (a state folder on a layered file system, an old kernel) the shared ones
    cannot be written, and the answer is False.
    """
    covered = True
    for number, path in enumerate(shared):
        upper, work = Path(own, f"{number}.new"), Path(own, f"{number}.work")
        for folder in (upper, work):
            folder.mkdir(parents=True, exist_ok=True)
        # By number: a path may hold what divides options. Volatile: or at its end a job would wait
        # until all that anybody has written is on the disk.
        folders = [os.open(each, os.O_PATH) for each in (path, upper, work)]
        lower_fd, upper_fd, work_fd = (f"/proc/self/fd/{each}" for each in folders)
        options = f"lowerdir={lower_fd},upperdir={upper_fd},workdir={work_fd}"
        try:
            _mount("overlay", path, 0, b"overlay", f"{options},userxattr,volatile")
            (work / "work").chmod(0o700)  # or whoever tidies up could not look into it
        except OSError:
            covered = False
            _write_protect(path)
        finally:
            for each in folders:
                os.close(each)
    return covered


def _install_beside(job: Job) -> None:
    """Have pip put what the job installs into a folder of its own, where the job finds it."""
    environment, own = job["environment"], Path(job["packages"])
    packages = own / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    environment.setdefault("PIP_PREFIX", str(own))
    before = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{before}:{packages}" if before else str(packages)
    environment["PATH"] = f"{own / 'bin'}:{environment.get('PATH', '')}"


def _flags(path: str) -> int:
    """What a mount must stay when it is mounted anew: a user namespace may not lift it."""
    found = os.statvfs(path).f_flag
    same = found & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME)
    return same | (_MS_RELATIME if found & os.ST_RELATIME else 0)


def _rebuild_opt() -> None:
    opt = os.open("/opt", os.O_PATH | os.O_DIRECTORY)
    _mount("tmpfs", "/opt", 0, b"tmpfs")
    with os.scandir(f"/proc/self/fd/{opt}") as entries:
        for entry in entries:
            here = Path("/opt", entry.name)
            if entry.is_symlink():
                here.symlink_to(Path(entry.path).readlink())
                continue
            if entry.is_dir():
                here.mkdir()
            else:
                here.touch()
            _mount(entry.path, str(here), _MS_BIND | _MS_REC)
    os.close(opt)
    Path(ML).mkdir()


def _try_namespace() -> tuple[bool, str]:
    """Whether this machine lets a job have its own /opt/ml, tried in a child, and why not."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            enter_namespace("/", [])
        except OSError as exc:
            os.write(writer, str(exc).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        refusal = pipe.read().decode()
    os.waitpid(pid, 0)
    return not refusal, refusal


# --- the job ------------------------------------------------------------------------------------


def run_job(gate: int, limit: Callable[..., object] | None = None) -> NoReturn:
    """Become the job that comes through the gate; leave at once if the gate closes empty."""
    with os.fdopen(gate, "rb") as pipe:
        text = pipe.read()
    if not text:
        os._exit(125)
    job: Job = json.loads(text)
    _redirect(job["log"])
    try:
        lay_out(job, mounts=job["mounts"])
        if LINUX:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != job["server"]:
                os._exit(125)
        os.chdir(job["directory"])
    except OSError as exc:
        _refuse(125, f"cannot lay out the job: {exc}")
    os.environ.clear()
    os.environ.update(job["environment"])
    time.tzset()
    script, module, arguments = _python_program(job["command"])
    if script is None and module is None:
        _become(job["command"])
    sys.argv = [script or "-m", *arguments]
    sys.path[:0] = _folders(script)
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
    importlib.invalidate_caches()
    _set_up_libraries(job["cpus"], limit)
    _finish(_execute(script, module))


def _redirect(log: str) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for each in (null, output):
        if each > 2:
            os.close(each)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, encoding="utf-8")  # type: ignore[union-attr]


def _rewrite(job: Job) -> None:
    """Without a view of its own the job is told its root wherever it would have read /opt/ml."""

    def rewritten(text: str) -> str:
        return _LITERAL.sub(lambda _: job["root"], text)

    job["command"] = [rewritten(word) for word in job["command"]]
    job["environment"] = {key: rewritten(value) for key, value in job["environment"].items()}
    job["directory"] = rewritten(job["directory"])


def _python_program(command: list[str]) -> tuple[str | None, str | None, list[str]]:
    """The script or the module that a command runs in this interpreter, and its arguments.

    Neither, if only a new process does the same: another program, other options, settings that
    Python and libraries read at their start, or files of the job that would hide a module that is
    imported already.
    """
    program, *rest = command
    while rest[:1] == ["-u"]:
        del rest[0]
    settings = {name for name in os.environ if name.startswith(_READ_AT_IMPORT)} - _OBEYED
    if not _PYTHON.fullmatch(program) or settings or not rest:
        return None, None, []
    script = None if rest[0].startswith("-") else rest[0]
    if (script and Path(script).is_file() and not _hides(_folders(script))) or (
        rest[0] == "-m" and len(rest) > 1 and not _hides(_folders(None))
    ):
        return (script, None, rest[1:]) if script else (None, rest[1], rest[2:])
    return None, None, []


def _folders(script: str | None) -> list[str]:
    """What Python puts before its own folders on the module path."""
    first = str(Path(script).resolve().parent) if script else str(Path.cwd())
    return [first, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


def _hides(folders: list[str]) -> bool:
    return any(
        entry.name.partition(".")[0] in _PRELOADED
        for folder in folders
        if Path(folder).is_dir()
        for entry in Path(folder).iterdir()
        if entry.suffix in (".py", ".so") or (entry / "__init__.py").exists()
    )


def _become(command: list[str]) -> NoReturn:
    try:
        os.execvp(command[0], command)  # noqa: S606 - the request's own command, without a shell
    except FileNotFoundError:
        _refuse(127, f"{command[0]!r} is not in the image")
    except OSError as exc:
        _refuse(126, f"{command[0]!r} cannot be run: {exc}")


def _refuse(code: int, text: str) -> NoReturn:
    os.write(2, f"localcloud: {text}\n".encode())
    os._exit(code)


def _set_up_libraries(cpus: int, limit: Callable[..., object] | None) -> None:
    """Undo what forking makes equal in all jobs: one random state, one number of threads."""
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()
    if limit is not None:
        limit(limits=int(os.environ.get("OMP_NUM_THREADS") or cpus))


def _execute(script: str | None, module: str | None) -> int:
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    try:
        if script is not None:
            main.__file__ = script
            main.__loader__ = importlib.machinery.SourceFileLoader("__main__", script)
            code = compile(Path(script).read_bytes(), script, "exec", dont_inherit=True)
            exec(code, main.__dict__)  # noqa: S102 - running the job is what this is for
        else:
            runpy._run_module_as_main(module)  # type: ignore[attr-defined]
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return (exc.code or 0) & 0xFF
        print(exc.code, file=sys.stderr)
        return 1
    except BaseException as exc:  # noqa: BLE001 - as Python does at its outermost level
        frames = exc.__traceback__
        while frames and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        try:
            sys.excepthook(type(exc), exc.with_traceback(frames), frames)
        except Exception:  # noqa: BLE001 - a hook of the job's own
            traceback.print_exc()
        return 1
    return 0


def _finish(code: int) -> NoReturn:
    """End as Python ends - threads, exit functions, open files - without unloading every library.

    Unloading them takes 0.1 s. Files that the job left open are written when its globals go.
    """
    image = (sys.prefix, sys.base_prefix)
    own = [
        module
        for name, module in sys.modules.items()
        if name == "__main__"
        or not (name in _PRELOADED or (getattr(module, "__file__", None) or "").startswith(image))
    ]
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for module in own:
            vars(module).clear()
        gc.collect()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        _LIBC.fflush(None)
    except BaseException:  # noqa: BLE001 - the job's code runs in here, and must not hold it back
        traceback.print_exc()
    finally:
        os._exit(code)


_PRELOADED: set[str] = set()


def main() -> NoReturn:
    """Serve on the socket given by number, or run one job in this fresh interpreter."""
    if sys.path and Path(sys.path[0]) == Path(__file__).parent:
        del sys.path[0]
    role, descriptor = sys.argv[1], int(sys.argv[2])
    if role == "job":
        _PRELOADED.update(set(sys.modules) - {"__main__"})
        run_job(descriptor)
    client = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - has no name
    with client.makefile("rb", buffering=0) as lines:
        greeting = json.loads(lines.readline())
    server = Server(client, fork=greeting["fork"])
    if greeting["fork"]:
        server.preload(greeting["preload"])
    _PRELOADED.update(set(sys.modules) - {"__main__"})
    gate, limit = server.serve()
    run_job(gate, limit)


if __name__ == "__main__":
    main()
