def handle(event, context):
    return {"greeting": f"Hello {event.get('name', 'world')}"}
