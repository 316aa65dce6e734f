import unittest

from hello.app import InvalidName, handle


class Handle(unittest.TestCase):
    def test_greets(self):
        self.assertTrue(handle({"name": "Ada"}, None)["greeting"].endswith(" Ada"))

    def test_refuses_a_blank_name(self):
        with self.assertRaises(InvalidName):
            handle({"name": " "}, None)
