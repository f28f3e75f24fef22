"""STAR's recorded dialogues as steps: what a person said with the facts that stand in it, what the wizard did.

The recording holds no annotation of facts. What stands in a message is read from the wizard's own database queries: a
value that was queried was given in the first message that holds its numbers and half of its words; where no message
does, in the one after the wizard's question for it, else in the last message before the query.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest

from support.conversations import DATA
from support.star_charts import NOTHING, Chart, action_of

_KEYS = {
    "apartment_schedule": "ask_name=RenterName apartment_ask_apartment_name=Name apartment_ask_day=Day"
    " apartment_ask_start_time=StartTimeHour apartment_ask_application_fee_paid=ApplicationFeePaid"
    " apartment_ask_custom_message=Message",
    "bank_balance": "ask_name=FullName bank_ask_account_number=AccountNumber bank_ask_pin=PIN bank_ask_dob=DateOfBirth"
    " bank_ask_mothers_maiden_name=SecurityAnswer1 bank_ask_childhood_pets_name=SecurityAnswer2"
    " bank_ask_fraud_details=FraudReport",
    "doctor_followup": "ask_name=PatientName doctor_ask_doctor_name=Name doctor_ask_day=Day"
    " doctor_ask_start_time=StartTimeHour doctor_ask_symptoms=Symptoms",
    "hotel_book": "ask_name=CustomerName hotel_ask_hotel=Name hotel_ask_date_from=StartDate hotel_ask_date_to=EndDate"
    " hotel_ask_customer_request=CustomerRequest",
    "hotel_service_request": "ask_name=CustomerName hotel_ask_hotel=Name hotel_ask_room_number=RoomNumber"
    " hotel_ask_service_request=CustomerRequest hotel_ask_time=Time",
    "meeting_schedule": "ask_name=UserName meeting_ask_guest_name=Name meeting_ask_day=Day"
    " meeting_ask_start_time=StartTimeHour meeting_ask_end_time=EndTimeHour meeting_ask_reason=MeetingReason",
    "party_plan": "party_ask_venue=Name ask_name=HostName party_ask_day=Day party_ask_starting_time=StartTimeHour"
    " party_ask_number_of_guests=NumberGuests party_inform_food_drink_criteria=DrinksRequest,FoodRequest",
    "party_rsvp": "ask_name=GuestName party_ask_venue=Name party_ask_host=HostName party_ask_arrival_time=ArrivalTime"
    " party_ask_number_of_guests=NumberGuests party_ask_parking_needed=NeedParking"
    " party_ask_dietary_restrictions=DietaryRestrictions",
    "plane_book": "ask_name=CustomerName plane_ask_flight_id=id",
    "plane_search": "plane_ask_departure_city=DepartureCity plane_ask_arrival_city=ArrivalCity plane_ask_date=Date"
    " plane_request_optional=Airline,Class",
    "restaurant_book": "ask_name=CustomerName restaurant_ask_restaurant=Name restaurant_ask_time=Time"
    " restaurant_ask_size=PartySize",
    "ride_book": "ask_name=CustomerName ride_ask_destination=ArrivalLocation ride_ask_departure=DepartureLocation"
    " ride_inform_search_criteria=ServiceProvider,CarModel,DriverName,MinutesTillPickup",
    "ride_change": "ask_name=CustomerName ride_ask_booking_number=id ride_ask_change=ChangeDescription",
    "ride_status": "ask_name=CustomerName ride_ask_booking_number=id",
    "trip_directions": "trip_ask_travel_mode=TravelMode trip_ask_departure_location=DepartureLocation"
    " trip_ask_arrival_location=ArrivalLocation trip_ask_departure_time=DepartureTime",
    "trivia": "trivia_ask_question_number=QuestionNum",
    "weather": "weather_ask_day=Day weather_ask_location=City",
    "apartment_search": "apartment_inform_search_criteria=*",
    "hotel_search": "hotel_inform_search_criteria=*",
    "restaurant_search": "restaurant_inform_search_criteria=*",
}
_SAME = {"bank_fraud_report": "bank_balance", "doctor_schedule": "doctor_followup"}
_NEGATIVE = re.compile(r"unavailable|unable|conflict|too small|failed|must provide", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+|\d+")


@dataclass(frozen=True)
class Message:
    """What the person said, and the values of facts that it holds."""

    text: str
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Act:
    """What the wizard did: an action of the chart, a query with what it found, or free words (no action)."""

    action: str
    found: str = ""


@dataclass(frozen=True)
class Dialogue:
    name: str
    task: str
    happy: bool
    steps: tuple[Message | Act, ...]


def dialogues(charts: Sequence[Chart], *, literally: bool = False) -> tuple[Dialogue, ...]:
    """Every dialogue about one task. `literally`: a message holds only values whose words stand in it.

    Skips the test where the data is absent.
    """
    path = DATA / "star" / "dialogues.json"
    if not path.is_file():
        pytest.skip(f"no recorded dialogues at {path}; set INTERLOCK_DATA")
    by_task = {chart.task: chart for chart in charts}
    found = []
    for one in json.loads(path.read_text(encoding="utf-8")):
        scenario = one["Scenario"]
        if not scenario["MultiTask"]:
            task = scenario["WizardCapabilities"][0]["Task"]
            steps = tuple(_steps(by_task[task], one["Events"], literally))
            found.append(Dialogue(f"star-{one['DialogueID']}", task, scenario["Happy"], steps))
    return tuple(found)


def _steps(chart: Chart, events: Sequence[Mapping[str, Any]], literally: bool) -> Iterator[Message | Act]:
    held = _held(chart, events, literally)
    last = max((at for at, event in enumerate(events) if event["Action"] == "query"), default=-1)
    for at, event in enumerate(events):
        match event["Agent"], event["Action"]:
            case "User", "utter":
                yield Message(event["Text"], held.get(at, {}))
            case "Wizard", "utter":
                yield Act("")
            case "Wizard", "pick_suggestion":
                yield Act("" if event["ActionLabel"] == "custom" else action_of(event["ActionLabel"]))
            case "Wizard", "query" if at == last or not _queried_again(chart, events, at):
                yield Act(_call(chart, event), _found(chart, event, events[at + 1]))


def _queried_again(chart: Chart, events: Sequence[Mapping[str, Any]], at: int) -> bool:
    """Whether the wizard only put the same query in other words before anything was said: they count as one."""
    for event in events[at + 1 :]:
        if event["Action"] == "query":
            return _call(chart, event) == _call(chart, events[at])
        if event["Action"] in ("utter", "pick_suggestion"):
            return False
    return False


def _call(chart: Chart, event: Mapping[str, Any]) -> str:
    if "query_book" not in chart.calls:
        return chart.calls[0]
    return "query_book" if '"Book"' in _constraints(event).get("RequestType", "") else "query_check"


def _found(chart: Chart, event: Mapping[str, Any], returned: Mapping[str, Any]) -> str:
    """The result as the chart names it, from what the database gave back."""
    nothing = [reply for reply in chart.replies if NOTHING in reply]
    item = returned.get("Item") or {}
    ways = chart.drawn.get(_call(chart, event), ("found",))
    if not item:
        return nothing[0] if nothing else ways[-1]
    return ways[-1] if _NEGATIVE.search(json.dumps(item)) else ways[0]


def _constraints(event: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for one in event["Constraints"] for key, value in one.items()}


def _held(chart: Chart, events: Sequence[Mapping[str, Any]], literally: bool) -> Mapping[int, Mapping[str, str]]:
    """By event: the facts that a message holds, from the queries after it."""
    found: dict[int, dict[str, str]] = {}
    values: dict[str, tuple[str, int]] = {}
    keys = dict(pair.split("=") for pair in _KEYS[_SAME.get(chart.task, chart.task)].split())
    for at, event in enumerate(events):
        if event["Action"] != "query":
            continue
        given = {key: _plain(value) for key, value in _constraints(event).items() if key != "RequestType"}
        for fact, named in keys.items():
            names = given if named == "*" else named.split(",")
            value = "; ".join(given[name] for name in names if name in given)
            before, since = values.get(fact, ("", -1))
            if value and value != before:
                place = _place(value, "" if literally else fact, events, since, at)
                if place is not None:
                    found.setdefault(place, {})[fact] = value
                    values[fact] = (value, at)
    return found


def _plain(written: str) -> str:
    """The value in a constraint: `api.is_equal_to("Sunday")` is Sunday."""
    return re.sub(r"api\.\w+", "", written).strip('"()[]')


def _place(value: str, fact: str, events: Sequence[Mapping[str, Any]], since: int, until: int) -> int | None:
    """The message that holds the value, after the event `since` and before `until`; without a `fact` only one that
    holds its words."""
    said = [
        at
        for at in range(max(since, 0), until)
        if events[at]["Agent"] == "User" and events[at]["Action"] == "utter" and at > since
    ]
    words = _WORD.findall(value.lower())
    for at in said:
        there = set(_WORD.findall(events[at]["Text"].lower()))
        numbers = {word for word in words if word.isdigit()}
        if words and numbers <= there and 2 * sum(word in there for word in words) >= len(words):
            return at
    if not fact:
        return None
    asked = [at for at in range(max(since, 0), until) if events[at].get("ActionLabel") == fact]
    answers = [at for at in said if asked and at > asked[-1]]
    return answers[0] if answers else said[-1] if said else None
