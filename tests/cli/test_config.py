from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

import pytams
from exact import Walk
from pytams.cli.config import Config
from pytams.cli.keys import in_toml_names
from pytams.core.errors import Name

MODEL = """
import numpy as np
import pytams
from neighbour import START

class Walk(pytams.Model):
    noise_shape = ()
    def __init__(self, up: float, start: int = START):
        if up > 1:
            raise ValueError("up is a probability")
        self.up, self.start = up, start
    def initial_state(self, rng):
        return np.array(self.start)
    def draw_noise(self, rng, n):
        return rng.random(n)
    def step(self, state, noise, t, dt):
        return state + (1 if noise < self.up else -1)
    def score(self, state, t):
        return float(state)

class Half(pytams.Model):
    noise_shape = ()
    def step(self, state, noise, t, dt):
        return state

number = 3
"""

GOOD: dict[str, dict[str, Any]] = {
    "tams": {"ntrajectories": 10},
    "trajectory": {"end_time": 20, "step_size": 1.0, "targetscore": 4.0},
    "model": {"class": "walk.py:Walk", "up": 0.3},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "walk.py").write_text(MODEL)
    (tmp_path / "neighbour.py").write_text("START = 0\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    return tmp_path


def changed(section: str, **keys: Any) -> dict[str, Any]:
    """GOOD with some keys changed; None removes one."""
    table = {name: dict(keys) for name, keys in GOOD.items()}
    for key, value in keys.items():
        name = key.rstrip("_")
        if value is None:
            del table[section][name]
        else:
            table.setdefault(section, {})[name] = value
    return table


def test_a_study_from_settings(folder: Path) -> None:
    config = Config(changed("tams", nruns=3, seed=5, nsplititer=50, ndiscard=2), folder)
    tams = config.make_tams()
    assert tams.settings == pytams.Settings(
        end_time=20.0, step_size=1.0, target_score=4.0, n_trajectories=10, n_discard=2, max_branchings=50
    )
    assert tams.run(3, seed=5, engine=config.engine).seed == 5
    assert (vars(tams.model)["up"], vars(tams.model)["start"]) == (0.3, 0)


def test_a_class_in_a_package() -> None:
    config = Config(changed("model", class_="exact:Walk", up=None), Path())
    assert type(config.make_model()).__name__ == "Walk"


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    models = []
    for name, start in [("a", 1), ("b", 2)]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "walk.py").write_text(MODEL.replace("from neighbour import START", f"START = {start}"))
        models.append(Config(GOOD, tmp_path / name).make_model())
    assert [vars(model)["start"] for model in models] == [1, 2]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (changed("tams", ntrajectorys=3), r"\[tams\] ntrajectorys: unknown key; did you mean ntrajectories\?"),
        (
            changed("trajectory", target_score=3),
            r"\[trajectory\] target_score: unknown key; did you mean target",
        ),
        (changed("runner", zzz=3), r"\[runner\] zzz: unknown key; known are type, block_length"),
        (changed("tasm", x=1), r"\[tasm\]: unknown section; did you mean tams\?"),
        (changed("tams", ntrajectories=None), r"\[tams\] ntrajectories: missing"),
        (changed("model", class_=None), r"\[model\] class: missing"),
        (changed("tams", ntrajectories=10.5), r"\[tams\] ntrajectories: 10.5 is not a whole number"),
        (changed("tams", ntrajectories="ten"), r"\[tams\] ntrajectories: 'ten'"),
        (changed("tams", loglevel="LOUD"), r"\[tams\] loglevel: 'LOUD' is not one of DEBUG, INFO, WARNING, ERROR$"),
        (changed("tams", loglevel="debug"), r"\[tams\] loglevel: 'debug' is .*; did you mean DEBUG\?$"),
        (changed("runner", type="proces"), r"\[runner\] type: 'proces' is .*, launch; did you mean process\?$"),
        (changed("states", keep="al"), r"\[states\] keep: 'al' is not one of ensemble, all, none; .* all\?$"),
        (changed("dask", backend="slrum"), r"\[dask\] backend: 'slrum' is not one of local, slurm; .* slurm\?$"),
        (changed("dask", adress="tcp://h"), r"\[dask\] adress: unknown key; did you mean address\?$"),
        (changed("model", class_=None, clas="w:W"), r"\[model\] class: missing(.|\n)*\[model\] clas: .* class\?$"),
        (changed("model", class_="wlk.py:Walk"), r"\[model\] class: there is no file .*; did you mean walk.py\?$"),
        (changed("runner", type="dusk"), r"\[runner\] type: 'dusk'"),
        (changed("runner", block_length=0), r"\[runner\] block_length: 0 is too small; it must be at least 1"),
        (changed("tams", ntrajectories=1), r"\[tams\] ntrajectories: 1 is too small; it must be at least 2"),
        (changed("tams", ndiscard=10), r"\[tams\] ndiscard: 10 of 10 .* below ntrajectories"),
        (changed("tams", nsplititer=-1), r"\[tams\] nsplititer: -1 is too small"),
        (changed("trajectory", step_size=3), r"\[trajectory\] end_time: 20 is not a multiple of step_size"),
        (changed("trajectory", targetscore=float("nan")), r"\[trajectory\] targetscore: nan is not a finite"),
        (changed("model", class_="walk.py"), r"\[model\] class: 'walk.py' is neither path/to/file.py:ClassName nor"),
        (changed("model", class_="nope.py:Walk"), r"\[model\] class: there is no file .*nope.py"),
        (
            changed("model", class_="walk.py:Wolk"),
            r"\[model\] class: walk.py has no Wolk; it has Walk, Half; did .* Walk\?",
        ),
        (changed("model", class_="walk.py:number"), r"\[model\] class: .* is not a subclass of pytams.Model"),
        (changed("model", class_="walk.py:Half"), r"\[model\] class: .* does not define initial_state, score"),
        (changed("model", class_="broken.py:Walk"), r"\[model\] class: importing .* raised ZeroDivisionError"),
        (changed("model", class_="no_such_package:Walk"), r"\[model\] class: there is no module no_such_package"),
        (changed("model", upp=0.4), r"\[model\] upp: Walk has no such parameter; did you mean up\?"),
        (changed("model", up=None), r"\[model\] up: missing: Walk needs it"),
        (changed("model", up=2), r"\[model\]: walk.py:Walk raised ValueError: up is a probability"),
    ],
)
def test_bad_settings_are_named(folder: Path, table: dict[str, Any], message: str) -> None:
    with pytest.raises(pytams.SettingsError, match=f"^{message}"):
        Config(table, folder).make_tams()


def test_every_bad_key_is_named_at_once(folder: Path) -> None:
    with pytest.raises(pytams.SettingsError) as error:
        Config(changed("tams", ntrajectories=None, nrun=3), folder)
    assert str(error.value).splitlines() == [
        "[tams] ntrajectories: missing",
        "[tams] nrun: unknown key; did you mean nruns?",
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(pytams.SettingsError, match="input.toml: cannot be read: No such file"):
        Config.load(tmp_path / "input.toml")
    (tmp_path / "input.toml").write_text("[tams]\nntrajectories = \n")
    with pytest.raises(pytams.SettingsError, match=r"input.toml: is not valid TOML: .*line 2"):
        Config.load(tmp_path / "input.toml")


def test_overrides(folder: Path) -> None:
    (folder / "input.toml").write_text(
        "[tams]\nntrajectories = 10\n[trajectory]\nend_time = 20\nstep_size = 1\ntargetscore = 4\n"
        '[model]\nclass = "walk.py:Walk"\nup = 0.3\n'
    )
    overrides = ["tams.ntrajectories=200", "tams.loglevel=ERROR", "model.up = 0.5", "runner.block_length=3"]
    config = Config.load(folder / "input.toml", overrides)
    assert (config.settings.n_trajectories, config.session.loglevel) == (200, "ERROR")
    assert (config.model_arguments, config.runner.block_length) == ({"up": 0.5}, 3)
    for bad in ("tams", "tams.n", "ntrajectories=3", "=3"):
        with pytest.raises(pytams.SettingsError, match="not of the form section.key=value"):
            Config.load(folder / "input.toml", [bad])


def test_a_block_can_be_ended_on_workers_only(folder: Path) -> None:
    message = r"\[runner\] block_timeout: only workers can be ended, .* type = 'process' or 'dask'"
    with pytest.raises(pytams.SettingsError, match=message):
        Config(changed("runner", block_timeout=60.0), folder)
    assert Config(changed("runner", type="process", block_timeout=60.0), folder).runner.timeout == 60.0


def test_an_override_of_nothing_leaves_a_key_away(folder: Path) -> None:
    """A study that was made with workers is resumed without."""
    text = "[tams]\nntrajectories = 10\n[trajectory]\nend_time = 20\nstep_size = 1\ntargetscore = 4\n"
    (folder / "input.toml").write_text(f'{text}[model]\nclass = "walk.py:Walk"\n[runner]\nblock_timeout = 60\n')
    config = Config.load(folder / "input.toml", ["runner.block_timeout=", "runner.batch = ", "model.up=3"])
    assert (config.runner.timeout, config.runner.batch, config.model_arguments) == (None, None, {"up": 3})


def test_paths_in_messages_stay_as_they_are() -> None:
    """Names of settings are put in the file's words; text that looks like one is not."""
    error = pytams.SettingsError(
        "seed", "/data/n_runs_x was made with seed 1, step_size of 3; see ", Name("n_discard")
    )
    assert str(in_toml_names(error)) == (
        "[tams] seed: /data/n_runs_x was made with seed 1, step_size of 3; see ndiscard"
    )


def test_a_path_like_a_setting_in_a_real_message(tmp_path: Path) -> None:
    tams = pytams.TAMS(Walk(), end_time=20, step_size=1, target_score=4, n_trajectories=10)
    tams.run(2, seed=1, out=tmp_path / "n_runs_x")
    with pytest.raises(pytams.SettingsError) as error:
        tams.run(2, seed=2, out=tmp_path / "n_runs_x")
    said = f"{tmp_path}/n_runs_x/study.json says that it was made with seed 1, not 2"
    assert str(in_toml_names(error.value)) == f"[tams] seed: {said}"


def test_a_program_has_no_score_to_learn(folder: Path) -> None:
    table = changed("model", class_=None, up=None, type="program", command=["sh"]) | {"score": {"learn": True}}
    with pytest.raises(pytams.SettingsError, match=r"^\[score\] learn: a program says no features"):
        Config(table, folder)


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    path = folder / "marked.toml"
    path.write_text(tomli_w.dumps(GOOD), encoding="utf-8-sig")
    assert Config.load(path).settings == Config(GOOD, folder).settings
