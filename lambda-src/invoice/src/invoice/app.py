"""The handler: checks the event and adds up."""

from decimal import Decimal

from marshmallow import Schema, fields, validate

from invoice.totals import totals


class Line(Schema):
    """One line of an invoice."""

    description = fields.String(required=True)
    quantity = fields.Integer(required=True, strict=True, validate=validate.Range(min=1))
    unit_price = fields.Decimal(required=True, validate=validate.Range(min=0))


class Invoice(Schema):
    """What the event has to be."""

    lines = fields.List(fields.Nested(Line), required=True, validate=validate.Length(min=1))
    tax_percent = fields.Decimal(load_default=Decimal(), validate=validate.Range(min=0, max=100))


def handle(event, _context):
    """Returns net, tax and total as decimal strings; raises ValidationError for anything but an invoice."""
    invoice = Invoice().load(event)
    pairs = [(line["quantity"], line["unit_price"]) for line in invoice["lines"]]
    return {name: str(amount) for name, amount in totals(pairs, invoice["tax_percent"]).items()}
