"""Programs that crash, hang, or write half of it: a clear error or the same bits, and nothing left running."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

import pytams
from programs import PRINTED, WELL, built, needs, running, script, staying, tams, well
from pytams.engine import Processes
from pytams.engine.launches import Launches

pytestmark = needs("gcc")

COPY = 'cp "$1" "$2"; echo 0.5'
"""A program that does nothing, and does it well."""


def told(folder: Path, text: str, *, initial_folder: bool = False, **more: Any) -> pytams.Program:
    (folder / "init").write_bytes(b"12345678")
    command = [script(folder, text), "{restart}", "{next}"]
    launch = {"retries": 1, "backoff": 0.0, "patience": 0.5, **more.pop("launch", {})}
    initial = "init.d" if initial_folder else "init"
    return pytams.Program(command=command, initial=initial, folder=str(folder), launch=launch, **{**PRINTED, **more})


def run(model: pytams.Program, **more: Any) -> pytams.Result:
    target_score = more.pop("target_score", 0.7)
    return tams(model, end_time=0.2, target_score=target_score).run(1, seed=1, verify=False, **more)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo so it goes >&2; exit 3", "it ended with exit code 3 (2 times)"),
        ("echo so it goes; kill -SEGV $$", "it was ended by SIGSEGV (2 times)"),
        ("echo so it goes", "it ended with exit code 0, and has not written restart ({next}) (2 times)"),
        ("echo so it goes >&2; cp $1 $2", "what it printed has 0 of the 1 numbers that should be there (2 times)"),
        ("echo so it goes >&2; sleep 60", "it has not ended within 0.3 s ([launch] timeout) (2 times)"),
    ],
)
def test_what_fails_is_told_with_all_that_there_is_to_know(text: str, said: str, tmp_path: Path) -> None:
    model = told(tmp_path, text, launch={"timeout": 0.3})
    with pytest.raises(pytams.ModelError) as error:
        run(model, out=tmp_path / "out")
    text = str(error.value)
    assert text.startswith("model.sh.step raised ProgramError at run 0, slot 0, step 0 (t = 0): ")
    assert said in text
    assert text.endswith("Its output ends with:\nso it goes")
    found = re.search("To try it by hand: (.*)\nIts logs: (.*).out, (.*).err", text)
    assert found is not None
    assert found[2] == str(tmp_path / "out" / "logs" / "0" / "0" / "0" / "0")
    assert "so it goes\n" in Path(f"{found[2]}.out").read_text() + Path(f"{found[3]}.err").read_text()
    if "sleep" not in said and "timeout" not in said:  # what is to be pasted does what it did
        done = subprocess.run(found[1], shell=True, check=False, capture_output=True, text=True)
        assert "so it goes\n" in done.stdout + done.stderr
        assert Path(found[2], "work").samefile(re.search("cd (\\S+)", found[1])[1])  # type: ignore[index] # it is there
    assert nothing_is_left(tmp_path)


def nothing_is_left(folder: Path) -> bool:
    """Whether no process has to do with a folder; for a while it may."""
    for _ in range(100):
        if not [
            process for process in Path("/proc").iterdir() if process.name.isdecimal() and _mentions(process, folder)
        ]:
            return True
        time.sleep(0.1)
    return False


def _mentions(process: Path, folder: Path) -> bool:
    try:
        return str(folder).encode() in (process / "cmdline").read_bytes() and int(process.name) != os.getpid()
    except OSError:
        return False


def test_without_a_run_directory_it_says_what_would_be_kept(tmp_path: Path) -> None:
    with pytest.raises(pytams.ModelError, match=r"\(with a run directory, .* kept\)\nIt has printed nothing\.$"):
        run(told(tmp_path, "exit 1"))


def test_what_cannot_be_started(tmp_path: Path) -> None:
    model = told(tmp_path, COPY)
    (tmp_path / "model.sh").chmod(0o644)
    with pytest.raises(pytams.ModelError, match="it cannot be started: Permission denied"):
        run(model)


def test_a_truncated_restart_is_made_again(tmp_path: Path) -> None:
    """Fewer bytes than ever before are believed only if they come out again and again."""
    once = f"if mkdir {tmp_path}/done 2> /dev/null; then head -c 3 $1 > $2; else cp $1 $2; fi; echo 0.5"
    assert run(told(tmp_path, once, launch={"retries": 2})).n_steps > 0
    (tmp_path / "count").touch()
    differs = f"n=$(wc -c < {tmp_path}/count); printf x >> {tmp_path}/count; head -c $((3 + n % 2)) $1 > $2; echo 0.5"
    with pytest.raises(pytams.ModelError, match="it has written 4 bytes to restart .*, and before 8: is it"):
        run(told(tmp_path, differs))
    shrinks = 'head -c $(($(stat -c %s "$1") - 1)) "$1" > "$2"; echo 0.5'
    assert run(told(tmp_path, shrinks)).n_steps > 0


def test_without_a_second_try_no_short_restart_is_believed(tmp_path: Path) -> None:
    with pytest.raises(pytams.ModelError, match="it has written 3 bytes to restart"):
        run(told(tmp_path, "head -c 3 $1 > $2; echo 0.5", launch={"retries": 0}))


def test_a_truncated_folder_is_noticed_too(tmp_path: Path) -> None:
    (tmp_path / "init.d").mkdir()
    (tmp_path / "init.d" / "a").write_bytes(b"12345678")
    once = (
        f"if mkdir {tmp_path}/done 2> /dev/null; then mkdir $2; head -c 3 $1/a > $2/a; else cp -r $1 $2; fi; echo 0.5"
    )
    model = told(tmp_path, once, initial_folder=True)
    assert run(model).n_steps > 0


def test_a_short_restart_on_a_full_disk_is_not_believed(small_disk: Path, tmp_path: Path) -> None:
    """Though it comes out alike at each try, and the program notices nothing."""
    (tmp_path / "init").write_bytes(bytes(200_000))
    (tmp_path / "score").write_text("0.5\n")
    model = pytams.Program(
        command=[script(tmp_path, 'cat "$1" > "$2" 2> /dev/null; true'), "{restart}", "{next}"],
        initial="init",
        initial_score=0.0,
        score={"file": "{folder}/score"},
        folder=str(tmp_path),
        launch={"retries": 2, "backoff": 0.0},
    )
    (small_disk / "ballast").write_bytes(bytes(700_000))
    with pytest.raises(pytams.ModelError, match="is it truncated.*its disk is full"):
        run(model, states=pytams.States(local=small_disk), out=tmp_path / "out")


def test_what_is_written_beside_a_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(pytams.ModelError, match=r"it has written restart.mom beside restart \(\{next\}\)"):
        run(told(tmp_path, f"{COPY}; cp $1 $2.mom"))
    with pytest.raises(pytams.ModelError, match=r"restart \(\{next\}\) is a link"):
        run(told(tmp_path, "ln -s $1 $2; echo 0.5"))


def test_a_link_that_was_changed_is_put_right(tmp_path: Path) -> None:
    for name in ("a", "winter"):
        (tmp_path / name).write_text(name)
    text = f'cat a >> "$PYTAMS_FOLDER/seen"; ln -sf "$PYTAMS_FOLDER/winter" a; {COPY}'
    run(told(tmp_path, text, inputs=["a", "winter"]))
    assert set((tmp_path / "seen").read_text()) == {"a"}


def test_a_score_command_that_fails_says_so(tmp_path: Path) -> None:
    score = {"command": [script(tmp_path, "echo why not >&2; exit 7", "score.sh")]}
    with pytest.raises(pytams.ModelError, match=r"what it is to be read by, .*score.sh: .* code 7; it said: why not"):
        run(told(tmp_path, COPY, score=score))
    model = told(tmp_path, COPY, score=score)
    script(tmp_path, "echo 0.7", "score.sh")
    with pytest.raises(pytams.ModelError, match="score.sh has changed since this study"):
        run(model)


@pytest.mark.parametrize(
    ("printed", "said"), [("7\n***", "cannot be read as text"), ("nan", "it gave nan: numbers must")]
)
def test_what_is_no_number_is_no_score(printed: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(pytams.ModelError, match=said):
        run(told(tmp_path, f"cp $1 $2; printf '{printed}\n'"))
    with pytest.raises(pytams.ModelError, match=said):
        run(told(tmp_path, f"{COPY}; printf 'event={printed}\n'", reached={"pattern": r"(?s)event=(\S+)\s*$"}))


def test_it_is_launched_no_more_often_than_is_said(tmp_path: Path) -> None:
    """With one driver and slots, too, whose tasks are tried again as well."""
    model = told(tmp_path, f"echo x >> {tmp_path}/launches; exit 1")
    with pytest.raises(pytams.ModelError, match=r"exit code 1 \(2 times\)"):
        run(model, engine=partial(Launches, slots=1))
    assert len((tmp_path / "launches").read_text().split()) == 2


def test_also_what_fails_while_it_is_verified_is_kept(tmp_path: Path) -> None:
    model = told(tmp_path, "echo so it goes >&2; exit 1")
    with pytest.raises(pytams.ModelError, match="Its logs: .*/out/logs/0/0/0/0.out"):
        tams(model).run(1, seed=1, out=tmp_path / "out")


def test_several_steps_at_once_cannot_be_irreproducible() -> None:
    with pytest.raises(pytams.SettingsError, match="reproducible: dw makes several steps at once.*"):
        tams(well(steps_per_launch=4)).run(1, seed=1, states=pytams.States(reproducible=False))


def test_what_a_program_leaves_running_is_ended(tmp_path: Path) -> None:
    """Also in a session of its own."""
    leaves = f"(setsid sleep 987 {tmp_path} &) ; sleep 986 & {COPY}"
    assert run(told(tmp_path, leaves)).n_steps > 0
    assert not re.search("sleep 98[67]", running())


@pytest.mark.slow
def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    hangs = f"trap '' TERM; while :; do sleep 0.05; done {tmp_path}"
    with pytest.raises(pytams.ModelError, match="it has not ended within"):
        run(told(tmp_path, hangs.replace(f" {tmp_path}", ""), launch={"timeout": 0.2, "patience": 0.2}))
    assert nothing_is_left(tmp_path)


DRIVER = """
import sys
from functools import partial
from pathlib import Path

sys.path[:0] = [{tests!r}]
from programs import tams
from test_program_failures import told
import pytams
from pytams.engine import InProcess, Processes
from pytams.engine.launches import Launches

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    engines = dict(inprocess=InProcess, process=partial(Processes, n_workers=2), launch=partial(Launches, slots=2))
    model = told(folder, f'echo $$ >> {{folder}}/pids; trap "" TERM; sleep 988 & sleep 989')
    states = pytams.States(local=folder / "scratch")
    tams(model).run(1, seed=1, engine=engines[sys.argv[2]], states=states, verify=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["inprocess", "process", "launch"])
def test_a_killed_driver_leaves_nothing_running(engine: str, tmp_path: Path) -> None:
    here = Path(__file__).parent
    (tmp_path / "driver.py").write_text(
        DRIVER.format(tests=str(here)).replace("[:0] = [", f"[:0] = [{str(here.parents[1])!r}, ")
    )
    driver = subprocess.Popen([sys.executable, str(tmp_path / "driver.py"), str(tmp_path), engine])
    wanted = 1 if engine == "inprocess" else 2
    pids: list[str] = []
    for _ in range(300):
        pids = (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else []
        if len(pids) >= wanted:
            break
        time.sleep(0.1)
    driver.kill()
    driver.wait()
    for _ in range(150):
        groups = subprocess.run(["ps", "axo", "pgid,args"], capture_output=True, text=True, check=True).stdout
        running = [line for line in groups.splitlines() if line.split()[0] in pids]
        if not running and not list((tmp_path / "scratch").iterdir()):
            break
        time.sleep(0.1)
    assert running == []
    assert len(pids) == wanted
    assert list((tmp_path / "scratch").iterdir()) == []
    assert nothing_is_left(tmp_path)


def test_a_killed_supervisor_takes_the_program_along_and_is_replaced(tmp_path: Path) -> None:
    kills = f"if [ -e {tmp_path}/done ]; then {COPY}; else touch {tmp_path}/done; kill -KILL $PPID; sleep 985; fi"
    assert run(told(tmp_path, kills)).n_steps > 0
    assert nothing_is_left(tmp_path)


# --- files that change ----------------------------------------------------------------------------------------------


def test_a_program_that_is_exchanged_meanwhile_is_noticed(tmp_path: Path) -> None:
    model = told(tmp_path, COPY)
    with (
        tams(model).study(1, seed=1, verify=False) as study,
        pytest.raises(pytams.ModelError, match="model.sh has changed"),
    ):
        for _ in study:
            script(tmp_path, f"{COPY} # another")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["dw", "namelist", *(pytest.param(one, marks=pytest.mark.slow) for one in ("forcing", "init.bin"))]
)
def test_a_file_that_was_changed_is_refused_by_name(name: str, tmp_path: Path) -> None:
    for file in ("dw", "init.bin"):
        shutil.copy(built() / file, tmp_path)
    (tmp_path / "namelist").write_text("seed = {seed}\n")
    (tmp_path / "forcing").write_text("1 2 3\n")
    more: dict[str, Any] = {"templates": ["namelist"], "inputs": ["forcing"]}
    tams(well(tmp_path, **more)).run(1, seed=1, out=tmp_path / "out")
    assert tams(well(tmp_path, **more)).run(2, out=tmp_path / "out").n_unfinished == 0
    with (tmp_path / name).open("ab") as changed:
        changed.write(b"\n")
    with pytest.raises(pytams.RunDirectoryError, match=rf"the source of dw has changed .*\({name} has changed\)"):
        tams(well(tmp_path, **more)).run(3, out=tmp_path / "out")


@pytest.mark.slow
def test_what_is_said_of_it_is_compared_too(tmp_path: Path) -> None:
    tams(well(launch={"ranks": 2})).run(1, seed=1, out=tmp_path / "out")
    tams(well(launch={"ranks": 2, "retries": 7})).run(1, out=tmp_path / "out")
    with pytest.raises(pytams.RunDirectoryError, match="model.ranks is 4, but the study was made with 2"):
        tams(well(launch={"ranks": 4})).run(1, out=tmp_path / "out")
    with pytest.raises(pytams.RunDirectoryError, match="model.inner_step is 0.02, but the study was made with 0.01"):
        tams(well(launch={"ranks": 2}, inner_step=0.02)).run(1, out=tmp_path / "out")


# --- accidents ------------------------------------------------------------------------------------------------------


@cache
def expected(**more: Any) -> Any:
    return tams(well(**more)).run(2, seed=3).runs


def with_accidents(accidents: dict[str, int], **more: Any) -> pytams.Program:
    chances = [f"{name}={often}" for name, often in accidents.items()]
    launch = {"timeout": 1.0, "backoff": 0.0, "retries": 9, "patience": 1.0}
    command = ["env", f"DW={built()}/dw", *chances, f"{built()}/faulty", *WELL]
    return well(command=command, launch=launch, **more)


@pytest.mark.slow
@pytest.mark.parametrize(
    "accidents",
    [
        {"CRASH": 10},
        *(pytest.param(one, marks=pytest.mark.slow) for one in ({"HANG": 60}, {"NOTHING": 10}, {"TRUNCATE": 10})),
    ],
    ids=str,
)
def test_accidents_change_no_bit(accidents: dict[str, int], tmp_path: Path) -> None:
    model = with_accidents(accidents, steps_per_launch=4)
    scratch = pytams.States(local=tmp_path / "scratch")
    engine = partial(Launches, slots=2)
    result = tams(model).run(2, seed=3, engine=engine, out=tmp_path / "out", states=scratch)
    assert result.runs == expected(steps_per_launch=4)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine", [partial(Launches, slots=2), partial(Processes, n_workers=2)], ids=["launch", "process"]
)
def test_all_accidents_together(engine: Any, tmp_path: Path) -> None:
    accidents = {"CRASH": 50, "HANG": 500, "NOTHING": 50, "TRUNCATE": 50}
    model = with_accidents(accidents)
    result = tams(model, n_trajectories=20).run(4, seed=5, engine=engine, out=tmp_path / "out")
    assert result.runs == tams(well(), n_trajectories=20).run(4, seed=5).runs
    assert nothing_is_left(built() / "faulty")


STAYS = r"""
while read -r word a b; do
  case $word in
    load) x=$(cat "$a") ;;
    save) echo "$x" > "$a" ;;
    step) x=$(( (x * 5 + ${a#"${a%?}"}) % 1000 ))
      [ $((x % %EVERY%)) -eq 0 ] && [ ! -e %FOLDER%/$x ] && { touch %FOLDER%/$x; echo oh dear >&2; %DOES%; } ;;
    score) echo "ok $x"; continue ;;
  esac
  echo ok
done
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "does",
    [
        "kill -KILL $$",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("exit 5", "sleep 60", "exec 1>&-; sleep 60")),
        "echo what",
    ],
)
def test_one_that_stays_and_fails_is_told_again(does: str, tmp_path: Path) -> None:
    (tmp_path / "init").write_text("1\n")

    def model(every: int) -> pytams.Program:
        text = STAYS.replace("%EVERY%", str(every)).replace("%FOLDER%", str(tmp_path)).replace("%DOES%", does)
        return staying(tmp_path, text, timeout=0.5, backoff=0.0, patience=0.3)

    want = tams(model(10**6), target_score=900.0).run(1, seed=2).runs
    assert tams(model(7), target_score=900.0).run(1, seed=2).runs == want
    assert len([path for path in tmp_path.iterdir() if path.name.isdecimal()]) > 0


@pytest.mark.parametrize(
    ("does", "said"),
    [("save) echo 12345678 > $a; head -c 3 $a > $a.; mv $a. $a;;", "it has written 3 bytes to restart"),
     ("save) ;;", "has not written restart"),
     ("load) printf 'ok\\nok\\n'; continue;;", "it said b'ok\\\\n' unasked"),
     ("score) echo ok nan; continue;;", "answered 'nan' to 'score', where a number")],
)  # fmt: skip
def test_what_one_that_stays_may_do_wrong(does: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "init").write_text("12345678")
    text = f'while read -r word a b; do case $word in {does} score) echo "ok 0.5"; continue;; esac; echo ok; done'
    with pytest.raises(pytams.ModelError, match=said):
        run(staying(tmp_path, text, retries=0, patience=0.5))


def test_one_that_stays_and_fails_for_good(tmp_path: Path) -> None:
    (tmp_path / "init").write_text("1\n")
    text = (
        STAYS.replace("%EVERY%", "1")
        .replace("! -e %FOLDER%/$x", "1")
        .replace("touch %FOLDER%/$x;", "")
        .replace("%DOES%", "exit 5")
    )
    model = staying(tmp_path, text, backoff=0.0, retries=1)
    with pytest.raises(pytams.ModelError) as error:
        run(model, target_score=2000.0, out=tmp_path / "out")
    text = str(error.value)
    assert "no answer to 'step " in text
    assert "it ended with exit code 5" in text
    assert "Its standard error ends with:\noh dear" in text
    found = re.search("To try it by hand: (.*)\n", text)
    assert found is not None
    done = subprocess.run(found[1], shell=True, check=False, capture_output=True, text=True)
    assert done.returncode == 5
    assert done.stderr.endswith("oh dear\n")


def test_logs_of_all_launches(tmp_path: Path) -> None:
    model = told(tmp_path, f"echo heard >&2; {COPY}", launch={"logs": "all"})
    run(model, out=tmp_path / "out")
    logs = tmp_path / "out" / "logs" / "0" / "2" / "0"
    assert (logs / "1.err").read_text() == "heard\n"
    assert (logs / "1.out").read_text() == "0.5\n"


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["launch", "pipe"])
def test_a_killed_worker_is_replaced_and_leaves_nothing(protocol: str, tmp_path: Path) -> None:
    """The program kills the worker, which is its supervisor's parent, once."""
    once = f"if mkdir {tmp_path}/done 2> /dev/null; then kill -KILL $(ps -o ppid= -p $PPID); sleep 983; fi"
    (tmp_path / "init").write_text("1\n")
    does = '[ "$word" = step ] && x=$(( (x * 5 + ${a#"${a%?}"}) % 1000 )) ; case $word in load) x=$(cat "$a");; '
    does += 'save) echo "$x" > "$a";; score) echo "ok $x"; continue;; esac; echo ok'
    texts = {
        "launch": f'{once}; x=$(( ($(cat "$1") * 5 + ${{3#"${{3%?}}"}}) % 1000 )); echo $x > "$2"; echo $x',
        "pipe": f'while read -r word a b; do [ "$word" = step ] && {{ {once}; }}; {does}; done',
    }

    def model() -> pytams.Program:
        command = [script(tmp_path, texts[protocol])]
        more: dict[str, Any] = {"protocol": "pipe"}
        if protocol == "launch":
            command, more = [*command, "{restart}", "{next}", "{seed}"], {"score": {}, "initial_score": 1.0}
        return pytams.Program(command=command, initial="init", folder=str(tmp_path), launch={"patience": 0.5}, **more)

    states = pytams.States(local=tmp_path / "scratch")
    engine = partial(Processes, n_workers=2, seconds=0.1)
    found = tams(model(), target_score=950.0).run(1, seed=2, engine=engine, states=states, verify=False).runs
    assert (tmp_path / "done").exists()
    assert found == tams(model(), target_score=950.0).run(1, seed=2).runs
    for _ in range(100):
        if not list((tmp_path / "scratch").glob("pytams-*/")):
            break
        time.sleep(0.1)
    assert not list((tmp_path / "scratch").glob("pytams-*/"))
    assert nothing_is_left(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of one megabyte."""
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "disk")]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield tmp_path / "disk"
    subprocess.run(["umount", "--lazy", str(tmp_path / "disk")], check=True)


def test_a_full_disk_is_said_and_the_study_goes_on_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    ballast = small_disk / "ballast"
    grows = 'head -c 100000 /dev/zero > "$2" || { echo no room >&2; exit 4; }; echo 0.$3'
    (tmp_path / "init").write_bytes(b"12345678")
    model = pytams.Program(
        command=[script(tmp_path, grows), "{restart}", "{next}", "{seed31}"],
        initial="init",
        folder=str(tmp_path),
        launch={"retries": 1, "backoff": 0.0},
        **PRINTED,
    )
    states = pytams.States(local=small_disk)
    want = tams(model).run(1, seed=1, verify=False).runs
    ballast.write_bytes(bytes(900_000))
    with pytest.raises(pytams.ModelError, match=r"exit code 4 \(2 times\) \(its disk is full: .* has .* left\)"):
        tams(model).run(1, seed=1, out=tmp_path / "out", states=states, verify=False)
    ballast.unlink()
    assert tams(model).run(1, out=tmp_path / "out", states=states).runs == want
    assert list(small_disk.iterdir()) == []
