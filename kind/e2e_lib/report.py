"""What was done, how long it took, and what each fault cost."""

import time


class Report:
    def __init__(self):
        self.current = "nothing yet"
        self.steps = []
        self.faults = []
        self.began = time.monotonic()

    def step(self, name, act, *arguments):
        self.current = name
        began = time.monotonic()
        print(f"[{began - self.began:6.1f} s] {name} …", flush=True)
        said = act(*arguments)
        took = time.monotonic() - began
        self.steps.append((name, took, said or ""))
        print(f"           ok, {took:.1f} s{': ' + said if said else ''}", flush=True)

    def fault(self, name, leadership_s, appends_s, limit_s):
        self.faults.append((name, leadership_s, appends_s, limit_s))

    def table(self, took):
        lines = ["", "| fault | without a leader | without an acknowledged append | leader at the latest |",
                 "|---|--:|--:|--:|"]
        show = lambda value: "-" if value is None else f"{value:.1f} s"
        for name, leadership, appends, limit in self.faults:
            lines.append(f"| {name} | {show(leadership)} | {show(appends)} | {show(limit)} |")
        lines.append(f"\nkind-e2e: {len(self.steps)} steps passed, 0 failed, {took:.0f} s")
        return "\n".join(lines)
