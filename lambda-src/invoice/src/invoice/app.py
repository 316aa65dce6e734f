"""The handler: checks the event and adds up."""

from decimal import Decimal

from marshmallow import Schema, ValidationError, fields, validate

from invoice import log
from invoice.totals import totals

# With these no sum has more than the 28 digits that Python's decimals keep: at most 1,000 lines of 10^6 times 10^9, with six
# places, and of that a percentage with four.
MAX_LINES = 1_000
MAX_QUANTITY = 1_000_000
MAX_UNIT_PRICE = Decimal(1_000_000_000)
UNIT_PRICE_PLACES = 6
TAX_PLACES = 4


def at_most_places(places):
    """Returns a validator of how many decimal places a number has."""

    def check(value):
        # Not by normalize(), which overflows where the exponent is out of bounds.
        _, digits, exponent = value.as_tuple()
        written = "".join(map(str, digits))
        if -exponent - (len(written) - len(written.rstrip("0"))) > places and value:
            raise ValidationError(f"Must have at most {places} decimal places.")

    return check


class Line(Schema):
    """One line of an invoice."""

    description = fields.String(required=True)
    quantity = fields.Integer(required=True, strict=True, validate=validate.Range(min=1, max=MAX_QUANTITY))
    unit_price = fields.Decimal(
        required=True, validate=validate.And(validate.Range(min=0, max=MAX_UNIT_PRICE), at_most_places(UNIT_PRICE_PLACES))
    )


class Invoice(Schema):
    """What the event has to be."""

    lines = fields.List(fields.Nested(Line), required=True, validate=validate.Length(min=1, max=MAX_LINES))
    tax_percent = fields.Decimal(
        load_default=Decimal(), validate=validate.And(validate.Range(min=0, max=100), at_most_places(TAX_PLACES))
    )


def handle(event, context):
    """Returns net, tax and total as decimal strings; raises ValidationError for anything but an invoice."""
    try:
        invoice = Invoice().load(event)
    except ValidationError as error:
        # Names of fields are the caller's where they are unknown: only how many are wrong is logged.
        log.write("WARN", "invoice refused", context.aws_request_id, faults=len(error.normalized_messages()))
        raise
    pairs = [(line["quantity"], line["unit_price"]) for line in invoice["lines"]]
    result = {name: str(amount) for name, amount in totals(pairs, invoice["tax_percent"]).items()}
    log.write("INFO", "invoice added up", context.aws_request_id, lines=len(pairs))
    return result
