"""Automations: alarms and where they go, and going on with runs that died."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import AutomationCore

from flows.changes import Change
from storage.errors import TidenetError
from storage.settings import Settings

BLOCK_NAME = "tidenet-alarms"
PREFIX = "tidenet: "
"""Automations that begin so are ours: one that is no longer declared is removed."""


class UnknownBlockError(TidenetError):
    """The notification block that alarms should go to does not exist."""


def register_automations(client: SyncPrefectClient, settings: Settings, file: Path) -> list[Change]:
    """Register what a file declares, by name, and return what that changed.

    Raises
    ------
    UnknownBlockError
        If alarms should go to a block that the server does not have.
    """
    changes: list[Change] = []
    block_id = _notification(client, settings, changes)
    known = {one.name: one for one in client.read_automations() if one.name.startswith(PREFIX)}
    declared = yaml.safe_load(file.read_text())["automations"]
    for item in declared:
        wanted = _automation(item, block_id)
        current = known.pop(wanted.name, None)
        if current is None:
            client.create_automation(wanted)
            changes.append(Change("automation", wanted.name, "created"))
        elif different := _differences(current, wanted):
            client.update_automation(current.id, wanted)
            changes.append(Change("automation", wanted.name, "changed", ", ".join(different)))
        else:
            changes.append(Change("automation", wanted.name, "unchanged"))
    for name, gone in known.items():
        client.delete_automation(gone.id)
        changes.append(Change("automation", name, "removed", "it is no longer declared"))
    return changes


def _automation(item: Mapping[str, Any], block_id: UUID | None) -> AutomationCore:
    """Return a declared automation; an alarm that goes nowhere is still seen in the event feed."""
    actions = list(item.get("actions", ()))
    if alarm := item.get("alarm"):
        actions.append(
            {"type": "do-nothing"}
            if block_id is None
            else {"type": "send-notification", "block_document_id": str(block_id), **alarm}
        )
    return AutomationCore.model_validate(
        {
            "name": item["name"],
            "description": item["description"],
            "trigger": item["trigger"],
            "actions": actions,
        }
    )


def _differences(current: AutomationCore, wanted: AutomationCore) -> list[str]:
    """Return in what two automations differ, without what the server adds."""

    def comparable(one: AutomationCore) -> dict[str, Any]:
        return {
            "description": one.description,
            "trigger": trigger_shown(one),
            "actions": [action.model_dump(mode="json") for action in one.actions],
        }

    here, there = comparable(current), comparable(wanted)
    return [name for name in there if here[name] != there[name]]


def trigger_shown(automation: AutomationCore) -> dict[str, Any]:
    """Return an automation's trigger as values that can be compared: sets come in any order."""
    shown: dict[str, Any] = automation.trigger.model_dump(mode="json", exclude={"id"})
    return {
        name: sorted(value) if isinstance(value, list) and name != "triggers" else value
        for name, value in shown.items()
    }


# --- where alarms go ------------------------------------------------------------------------------


def _notification(
    client: SyncPrefectClient, settings: Settings, changes: list[Change]
) -> UUID | None:
    """Return the block that alarms go to: one that exists, or a webhook; None for none."""
    if settings.alarm_block:
        return _existing_block(client, settings.alarm_block)
    url = settings.alarm_webhook.get_secret_value()
    if not url:
        changes.append(
            Change("notification", "alarms", "unchanged", "go nowhere: set TIDENET_ALARM_WEBHOOK")
        )
        return None
    return _webhook(url, settings.timeout_s, changes)


def _webhook(url: str, timeout_s: float, changes: list[Change]) -> UUID:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    # The address may hold a token: it is kept as a secret of the block.
    wanted = CustomWebhookNotificationBlock(
        name="tidenet",
        url="{{address}}",
        json_data={"text": "{{subject}}\n{{body}}", "subject": "{{subject}}", "body": "{{body}}"},
        timeout=timeout_s,
        secrets={"address": url},
    )
    slug = f"custom-webhook/{BLOCK_NAME}"
    current: Any = None
    with suppress(ValueError):  # there is none yet
        current = CustomWebhookNotificationBlock.load(BLOCK_NAME)
    if current is not None and _shown(current) == _shown(wanted):
        changes.append(Change("notification", slug, "unchanged"))
        return UUID(str(current._block_document_id))
    done = "created" if current is None else "changed"
    changes.append(Change("notification", slug, done))
    made: Any = wanted.save(BLOCK_NAME, overwrite=True)
    return UUID(str(made))


def _shown(block: Any) -> tuple[Any, ...]:
    return (block.url, block.json_data, block.timeout, block.secrets.get_secret_value())


def _existing_block(client: SyncPrefectClient, slug: str) -> UUID:
    from prefect.exceptions import ObjectNotFound

    block_type, _, name = slug.partition("/")
    try:
        return client.read_block_document_by_name(name, block_type).id
    except ObjectNotFound as error:
        raise UnknownBlockError(
            "The notification block that alarms should go to does not exist.",
            found=slug,
            expected="a block of the Prefect server, as type/name, e.g. slack-webhook/operators",
            remedy="Make it in the Prefect UI (Blocks), or correct TIDENET_ALARM_BLOCK.",
        ) from error
