"""The pages and the help say what the daemon really has: all of it compared with rpc.discover."""
import os
import re
import subprocess

import harness
from harness import ASPACECTL, PATIENCE

OWN_VERBS = {"watch", "monitor", "import", "call", "batch", "run", "help"}  # verbs that are no method's


def page(*path):
    with open(os.path.join(harness.SOURCE_DIR, *path), encoding="utf-8") as file:
        return file.read()


def help_of(*verb):
    return subprocess.run([ASPACECTL, "help", *verb], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=PATIENCE, encoding="utf-8")


class Documents(harness.DaemonCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with harness.Peer(cls.daemon.path) as peer:
            cls.document = peer.call("rpc.discover")
        cls.methods = cls.document["methods"]
        cls.verbs = {method["name"]: verb for method in cls.methods for key, verb in method.items()
                     if key.startswith("x-") and "verb" in key and isinstance(verb, str)}

    def test_discover_says_which_verb_calls_a_method(self):
        self.assertTrue(self.verbs)
        self.assertEqual(self.verbs.get("area.map"), "map")
        self.assertEqual(len(set(self.verbs.values())), len(self.verbs))

    def test_the_page_of_methods_is_what_the_table_makes_now(self):
        made = subprocess.run([os.environ["METHODS_PAGE"]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              timeout=PATIENCE, encoding="utf-8", check=True)
        self.assertEqual(made.stdout, page("docs", "methods.md"), "docs/methods.md is old: bin/methods_page > docs/methods.md")

    def test_the_page_of_methods_has_every_method_with_every_param_and_verb(self):
        text = page("docs", "methods.md")
        for method in self.methods:
            with self.subTest(method=method["name"]):
                self.assertIn(method["name"], text)
                section = re.split(r"(?m)^#+ .*\b%s\b.*$" % re.escape(method["name"]), text)
                self.assertEqual(len(section), 2, "a heading of its own, once")
                body = re.split(r"(?m)^#+ ", section[1])[0]
                self.assertIn(method["summary"], body + text)
                for param in method["params"]:
                    self.assertIn("`%s`" % param["name"], body)
                if method["name"] in self.verbs:
                    self.assertRegex(body, r"aspacectl %s\b|`%s`" % ((re.escape(self.verbs[method["name"]]),) * 2))

    def test_the_page_of_methods_has_no_method_that_is_not_there(self):
        names = {method["name"] for method in self.methods}
        for found in re.findall(r"(?m)^#+ .*?\b([a-z]+\.[a-z_]+)\b", page("docs", "methods.md")):
            self.assertIn(found, names)

    def test_the_help_has_every_verb(self):
        listed = help_of()
        self.assertEqual(listed.returncode, 0)
        for verb in set(self.verbs.values()) | OWN_VERBS:
            with self.subTest(verb=verb):
                self.assertRegex(listed.stdout, r"(?m)(^|\s)%s\b" % re.escape(verb))

    def test_the_help_of_a_verb_has_its_summary_and_every_param(self):
        for method in self.methods:
            verb = self.verbs.get(method["name"])
            if verb is None:
                continue
            with self.subTest(verb=verb):
                shown = help_of(verb)
                self.assertEqual(shown.returncode, 0, shown.stdout)
                self.assertIn(method["summary"], shown.stdout)
                low = shown.stdout.lower()
                for param in method["params"]:
                    name = param["name"]
                    choices = param["schema"].get("enum", [])
                    known = [name, name.replace("_", "-")] + ["--" + choice for choice in choices] + ["|".join(choices) or name]
                    if name == "space":
                        known.append("name")
                    self.assertTrue(any(word in low for word in known), "%s: %s" % (verb, name))

    def test_the_help_of_every_own_verb_says_something(self):
        for verb in OWN_VERBS - {"help"}:
            with self.subTest(verb=verb):
                shown = help_of(verb)
                self.assertEqual(shown.returncode, 0, shown.stdout)
                self.assertIn(verb, shown.stdout)

    def test_the_readme_uses_only_verbs_and_methods_that_exist(self):
        text = page("README.md")
        verbs = set(self.verbs.values()) | OWN_VERBS
        used = re.findall(r"(?m)(?:^|[`$ ])aspacectl((?: +--?[a-z]+(?:[= ](?=\S*[/0-9])\S+)?)*) +([a-z]+)\b(?= |`|$)",
                          "\n".join(self.code(text)))
        self.assertTrue(used, "no command in the README")
        for _, verb in used:
            with self.subTest(verb=verb):
                self.assertIn(verb, verbs)
        names = {method["name"] for method in self.methods}
        for name in re.findall(r'"method": ?"([^"]+)"', text):
            self.assertIn(name, names)

    def test_the_readme_lists_the_verbs_as_the_help_does(self):
        def rows(text):
            return re.findall(r"(?m)^ +([a-z]+) +([A-Z].+)$", text)
        listed = rows(help_of().stdout.split("Verbs")[1].split("Options")[0])
        self.assertTrue(listed)
        self.assertEqual(rows(page("README.md").split("## The verbs")[1].split("Exit status")[0]), listed)

    def code(self, text):
        """What a README shows as code: indented lines and `spans`."""
        return re.findall(r"(?m)^    (.+)$", text) + re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)

    def test_every_file_that_a_page_links_to_is_there(self):
        pages = ["README.md"] + ["docs/" + name for name in sorted(os.listdir(os.path.join(harness.SOURCE_DIR, "docs")))
                                 if name.endswith(".md")]
        for name in pages:
            folder = os.path.dirname(os.path.join(harness.SOURCE_DIR, name))
            for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page(name)):
                if "://" in link or link.startswith("mailto:"):
                    continue
                with self.subTest(page=name, link=link):
                    self.assertTrue(os.path.exists(os.path.join(folder, link)))

    def test_the_page_of_the_protocol_has_the_errors_of_the_header_word_for_word(self):
        header = page("include", "aspace", "error.h")
        listed = re.findall(r'X\((-?\d+), [A-Z_]+, "(\w+)", (\w+), "([^"]+)"\)', header)
        self.assertEqual(len(listed), len(harness.ERRORS))
        rows = re.findall(r"(?m)^\| (-?\d+) \| (\w+) \| ?(\w*) \| (.+) \|$", page("docs", "protocol.md"))
        self.assertEqual(rows, [(code, name, "" if errno == "0" else errno, text) for code, name, errno, text in listed])

    def test_the_table_of_errors_is_in_the_document_with_its_codes(self):
        text = page("docs", "methods.md")
        for code, (name, _) in harness.ERRORS.items():
            self.assertIn(name, text)
            self.assertIn(str(code), text)


if __name__ == "__main__":
    harness.main()
