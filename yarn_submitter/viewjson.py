"""What a person sees of a job, as JSON values (docs/json.md). Pure."""

from __future__ import annotations

from typing import Any

from am.contract.job import JobPlan, output_dir
from yarn_submitter.monitor import JobView, TaskView, links, queue_of

SCHEMA = 1


def output_path(plan: JobPlan, default_fs: str) -> str:
    """Return the place on the store below which each task's outputs have a directory."""
    return default_fs + output_dir(plan.job_dir, plan.main_task).rpartition("/")[0]


def document(view: JobView, plan: JobPlan, application_id: str, default_fs: str) -> dict[str, Any]:
    """Return the view as JSON values (schema 1, see docs/json.md)."""
    verdict, app = view.verdict, view.app
    return {
        "schema": SCHEMA,
        "id": plan.id,
        "application_id": application_id,
        "name": plan.name,
        "user": plan.user,
        "queue": queue_of(view, plan),
        "submitted_queue": plan.queue,
        "priority": app.priority if app else None,
        "expires_s": (app.expires_s if app else 0) or None,
        "framework": plan.framework,
        "state": view.state,
        "waiting": view.waiting,
        "round": view.round,
        "agent_attempt": view.agent_attempt,
        "exit_code": verdict.exit_code if verdict else None,
        "origin": verdict.origin if verdict else None,
        "problem": (verdict.problem or None) if verdict else None,
        "message": verdict.message if verdict else None,
        "advice": (verdict.advice or None) if verdict else None,
        "failed_task": (verdict.task or None) if verdict else None,
        "failed_host": (verdict.host or None) if verdict else None,
        "input_path": plan.input_path,
        "checkpoint_path": plan.checkpoint_path,
        "saved_model_path": plan.saved_model_path,
        "output_path": output_path(plan, default_fs),
        "job_dir": plan.job_dir,
        "links": [{"label": label, "url": url} for label, url in links(view, plan).items()],
        "avoided_hosts": [{"host": host, "reason": reason} for host, reason in view.avoided.items()],
        "lost_masters": [{"attempt": one.attempt, "ended_s": one.time, "said": one.said} for one in view.lost],
        "timing": {
            "submitted_s": (app.started_s if app else 0) or None,
            "launched_s": (app.launched_s if app else 0) or None,
            "agents_s": list(view.agents_s),
            "complete_s": list(view.topologies),
            "stopping_s": view.stopping.time if view.stopping else None,
            "ended_s": verdict.time if verdict else None,
        },
        "tasks": [
            {**_attempt_document(view, task), "attempts": [_attempt_document(view, one) for one in task.attempts]}
            for task in view.tasks.values()
        ],
    }


def _attempt_document(view: JobView, task: TaskView) -> dict[str, Any]:
    return {
        "task": task.task,
        "state": task.state,
        "attempt": task.attempt,
        "host": task.host,
        "container_id": task.container_id,
        "log_url": task.log_url,
        "asked_s": task.asked_s or None,
        "registered_s": task.registered_s or None,
        "topology_s": view.topology_s(task) or None,
        "started_s": task.started_s or None,
        "ended_s": task.ended_s or None,
        "exit_code": task.exit_code,
        "problem": task.problem or None,
        "reason": task.reason,
    }
