"""The page for users of pyTAMS has every key, name and file of pyTAMS 1.0.0.

Names are all that is public in its modules: functions, classes, and of each class methods and attributes (of a
model, those with an underscore, too, since they are what its users write).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytams.cli.theirs import RULES
from pytams.sqldb import SQLFile

PAGE = (Path(__file__).parents[2] / "docs" / "coming_from_pytams.md").read_text(encoding="utf-8")
MODEL = """
_init_model _advance get_current_state set_current_state score make_noise check_convergence name
_trajectory_branching_hook _trajectory_restore_hook _clear_model _id _noise _step _time _workdir
advance get_noise set_noise clear set_workdir post_trajectory_branching_hook post_trajectory_restore_hook
"""
TAMS = """
n_traj elapsed_time remaining_walltime out_of_time generate_trajectory_ensemble check_exit_splitting_loop
finish_ongoing_splitting get_restart_at_random do_multilevel_splitting compute_probability get_database
"""
DATABASE = """
load init_active_ensemble save_trajectory load_data load_archived_trajectories name append_traj append_archived_traj
traj_list get_traj overwrite_traj header_file pool_file get_pool_db is_empty traj_list_len archived_traj_list_len
update_traj_list archive_trajectory lock_trajectory unlock_trajectory update_trajectory update_trajectories_weights
weights append_splitting_iteration_data update_splitting_iteration_data mark_last_splitting_iteration_as_done n_traj
n_split_iter path done_with_splitting get_ongoing k_split set_init_ensemble_flag init_ensemble_done count_ended_traj
count_converged_traj count_computed_steps get_transition_probability info reset_initial_ensemble_stage
plot_score_functions plot_min_max_span get_trajectory_active_at_k
"""
TRAJECTORY = """
id noise_backlog set_checkfile set_workdir get_workdir idstr advance setup_noise init_from_metadata
restore_from_checkfile branch_from_trajectory store set_weight update_metadata set_current_time_and_step current_time
step_size score_max is_converged has_ended has_started get_checkfile get_time_array get_score_array get_noise_array
get_state_list get_length get_nbranching get_computed_steps_count get_last_state get_last_state_id
serialize_metadata_json deserialize_metadata delete
Snapshot time score noise state has_state
"""
LEDGER = """
name add_trajectory lock_trajectory mark_trajectory_as_completed release_trajectory release_all_trajectories
get_trajectory_count archive_trajectory get_archived_trajectory_count clear_archived_trajectories add_splitting_data
update_splitting_data mark_last_iteration_as_completed get_k_split get_ongoing get_weights get_biases get_minmax
clear_splitting_data dump_file_json
"""
SQLDB = """
update_trajectory update_trajectory_weight fetch_trajectory fetch_archived_trajectory get_iteration_count
fetch_splitting_data
Base Trajectory ArchivedTrajectory SplittingIterations id traj_file t_metadata status split_id bias weight
discarded_traj_ids ancestor_traj_ids min_vals min_max
"""
REST = """
BaseRunner AsIORunner DaskRunner make_promise execute_promises n_workers add_task run_tasks just_delay client cluster
dask_backend dask_queue dask_ntasks dask_ntasks_per_node dask_nworker_ncore dask_prologue dask_walltime
slurm_config_file get_runner_type WorkerLoggerPlugin setup RunnerError WallTimeLimitError XMLUtilsError
parse_cl_args tams_alive tams_template_model tams_check tams_init_model form_trajectory_id get_index_from_id
is_windows_os is_mac_os setup_logger get_min_scored moving_avg get_module_local_import generate_subclass STALL_TOL
update_trajectory_in_sql traj_advance_with_exception pool_worker ms_worker worker_async
oneliner_ndarray manual_cast_snapshot manual_cast_snapshot_noise manual_cast manual_cast_str dict_to_xml xml_to_dict
get_val_type new_element make_xml_snapshot read_xml_snapshot
"""
FILES = """
input_params.toml header.xml fmodel.pkl trajPool.db trajectories/traj000007_0002.xml trajectories/traj000007_0002/
NAME_123456/ .sqldb_tams_123456.db traj000007_0002.xml Score_k00012.png NAME_scores.png NAME_minmax.png trajPool.json
NAME.py
"""


def first_cells(heading: str) -> list[str]:
    """Give the first cell of each row of the tables below a heading."""
    section = re.split(r"^#+ ", PAGE.partition(f"{heading}\n")[2], maxsplit=1, flags=re.M)[0]
    assert section, heading
    return [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| ")]


def codes(cells: list[str]) -> set[str]:
    return {code for cell in cells for code in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("### Of a model: `ForwardModelBaseClass`", MODEL),
        ("### `TAMS`", TAMS),
        ("### `Database`", DATABASE),
        ("### `Trajectory` and `Snapshot`", TRAJECTORY),
        ("### `SQLFile`, and its tables", LEDGER + SQLDB),
        ("### Runners, and the rest", REST),
    ],
)
def test_every_name(heading: str, names: str) -> None:
    listed = {word for code in codes(first_cells(heading)) for word in re.findall(r"\w+", code)}
    assert set(names.split()) <= listed, set(names.split()) - listed


def test_every_file() -> None:
    assert set(FILES.split()) <= codes(first_cells("## Files"))


def test_what_is_called_the_same_of_a_ledger_is_there() -> None:
    same = next(cell for cell in first_cells("### `SQLFile`, and its tables") if "`add_trajectory`" in cell)
    assert codes([same]) == set(LEDGER.split()) <= set(dir(SQLFile))


def test_every_key() -> None:
    listed = set(re.findall(r"`\[(\w+)\] (\w+)`", PAGE.partition("## Methods")[0]))
    assert {(section, key) for section, keys in RULES.items() for key in keys} <= listed
