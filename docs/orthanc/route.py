"""Each radiograph that Orthanc receives goes on to the node, however long that is away or full: for Orthanc's Python plugin.

Orthanc keeps a log of what it received. This script follows it, and writes down how far it came and what the node did not
take yet, in `pneumonia.json` beside Orthanc's index. So nothing is lost, whichever of the two is restarted or killed; at
worst an image is sent twice, and the node answers it once. Results are of other modalities: nothing goes round in circles.

At its first start it begins with what comes from then on. Orthanc runs it; see orthanc.json.
"""

import json
import os
import threading
import time
from pathlib import Path

import orthanc

NODE = "pneumonia"  # in DicomModalities of orthanc.json
MODALITIES = ("CR", "DX")
PAUSES = (5.0, 30.0)  # seconds between two tries: the first, doubled up to the second
AT_ONCE = 3  # vain tries of one round: a node that is full is not asked for each of a thousand images
GIVE_UP = 3 * 86_400.0  # seconds after an image came in, from which on one that the node refuses is tried no more

wake, ended = threading.Event(), threading.Event()


def place():
    """The file with what is known; folders of Orthanc's settings stand beside these."""
    settings, beside = json.loads(orthanc.GetConfiguration()), Path(orthanc.GetConfigurationPath())
    folder = settings.get("IndexDirectory") or settings.get("StorageDirectory") or "OrthancStorage"
    return (beside if beside.is_dir() else beside.parent) / folder / "pneumonia.json"


def get(uri):
    return json.loads(orthanc.RestApiGet(uri))


def load():
    """`since`: number of the last change that was seen; `waiting`: instance -> when it was seen, in seconds, and tries."""
    if place().exists():
        return json.loads(place().read_text())
    return {"since": get("/changes?last")["Last"], "waiting": {}}


def save(state):
    new = place().with_suffix(".new")
    with new.open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(place())


def wanted(instance):
    try:
        modality = orthanc.RestApiGet(f"/instances/{instance}/content/0008-0060").decode(errors="replace")
    except orthanc.OrthancException:  # names none, or was deleted meanwhile
        return False
    return modality.strip(" \0") in MODALITIES


def follow(state):
    """Note what came in."""
    done = False
    while not done and not ended.is_set():
        changes = get(f"/changes?since={state['since']}&limit=100")
        for change in changes["Changes"]:
            if change["ChangeType"] == "NewInstance" and wanted(change["ID"]):
                state["waiting"][change["ID"]] = time.time(), 0
        moved, done = changes["Last"] != state["since"], changes["Done"]
        state["since"] = changes["Last"]
        if moved:
            save(state)


def send(state):
    """Send what waits, what was tried least first."""
    waiting, vain = state["waiting"], 0
    for instance in sorted(waiting, key=lambda each: (waiting[each][1], waiting[each][0])):
        if ended.is_set() or vain == AT_ONCE:
            return
        try:
            orthanc.RestApiPost(f"/modalities/{NODE}/store", instance)
        except orthanc.OrthancException as fault:
            try:
                orthanc.RestApiPost(f"/modalities/{NODE}/echo", "{}")
            except orthanc.OrthancException:
                return  # it is away: so it is for the others
            seen, tries = waiting[instance]
            if wanted(instance) and time.time() - seen < GIVE_UP:
                waiting[instance] = seen, tries + 1  # it is full, or refuses this one
                vain += 1
                continue
            orthanc.LogError(f"{instance} was not taken by {NODE} and is given up: {fault}")
        del waiting[instance]
        save(state)


def work():
    state, before, pause = None, 0, PAUSES[0]
    while not ended.is_set():
        wake.clear()
        try:
            if state is None:
                state = load()
                save(state)
            follow(state)
            send(state)
        except Exception as fault:  # as where the disk is full
            orthanc.LogError(f"routing to {NODE} failed, goes on soon: {fault!r}")
        waiting = len(state["waiting"]) if state else 0
        if bool(waiting) != bool(before):
            orthanc.LogWarning(f"{waiting} images wait for {NODE}")
        pause = min(PAUSES[1], 2 * pause) if waiting >= before else PAUSES[0]
        before = waiting
        wake.wait(pause)


def changed(kind, level, resource):
    global thread
    if kind == orthanc.ChangeType.ORTHANC_STARTED:
        thread = threading.Thread(target=work)
        thread.start()
    elif kind == orthanc.ChangeType.ORTHANC_STOPPED:
        ended.set()
        wake.set()
        if thread is not None:
            thread.join()
    elif kind == orthanc.ChangeType.NEW_INSTANCE:
        wake.set()


thread = None
orthanc.RegisterOnChangeCallback(changed)
