"""The sandbox's look: the one style sheet of the login pages, small, responsive, and dark where the person likes it."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5b6878; --paper: #fff; --ground: #eef1f5;
  --line: #d5dbe3;
  --accent: #0b6b5d; --on-accent: #fff; --tint: #e6f3f0; --alarm: #a32020; --alarm-tint: #fdecec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf3; --soft: #9fadbd; --paper: #1a222c; --ground: #10161d;
  --line: #34404e; --accent: #4fc3ae; --on-accent: #06231e; --tint: #17302d; --alarm: #ff9d9d;
  --alarm-tint: #3a1d20; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; padding: 2rem 1rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 42rem; margin: 0 auto; padding: 2rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: 14px; box-shadow: 0 8px 30px rgb(0 0 0 / 8%); }
header, footer { max-width: 42rem; margin: 0 auto; color: var(--soft); font-size: .875rem; }
header { display: flex; justify-content: space-between; gap: 1rem; padding: 0 .25rem .75rem; }
header strong { color: var(--ink); }
footer { padding: 1rem .25rem 0; }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 0; font-size: 1rem; }
p { margin: 0 0 1.25rem; }
.soft { color: var(--soft); }
fieldset { margin: 0 0 1.5rem; padding: 0; border: 0; }
legend { padding: 0; margin-bottom: .5rem; font-weight: 600; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(16rem, 100%), 1fr)); gap: .625rem; }
.card { display: flex; align-items: center; gap: .75rem; padding: .75rem .875rem; border: 1px solid var(--line);
  border-radius: 10px; overflow-wrap: anywhere; }
label.card { cursor: pointer; }
label.card:hover { border-color: var(--accent); }
.card:has(:checked) { border-color: var(--accent); background: var(--tint); }
.card input { accent-color: var(--accent); width: 1.1rem; height: 1.1rem; flex: none; margin: 0; }
.card span { flex: 1; }
.card small, dd small { display: block; color: var(--soft); }
.account { display: block; }
.account dl { margin: .5rem 0 0; display: grid; grid-template-columns: auto 1fr; gap: .125rem 1rem; }
.account dt { color: var(--soft); }
.account dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.field { display: block; margin-bottom: 1rem; font-weight: 600; }
.field input { display: block; width: 100%; margin-top: .25rem; padding: .625rem .75rem; font: inherit;
  font-weight: 400;
  color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 8px; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin-top: 1.5rem; }
button, .button { padding: .625rem 1.25rem; font: inherit; font-weight: 600; border-radius: 8px; cursor: pointer;
  border: 1px solid var(--line); background: transparent; color: inherit; text-decoration: none; }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button:hover, .button:hover { filter: brightness(1.08); border-color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.note { padding: .75rem 1rem; margin-bottom: 1.25rem; border-radius: 8px; background: var(--tint); }
.alarm { background: var(--alarm-tint); color: var(--alarm); }
code { padding: .1em .35em; border-radius: 4px; background: var(--ground); font-size: .95em; }
ul { margin: 0 0 1.25rem; padding-left: 1.25rem; }
@media (max-width: 30rem) { body { padding: 1rem .5rem; } main { padding: 1.25rem; } .actions > * { flex: 1 1 100%;
  text-align: center; } }
"""
