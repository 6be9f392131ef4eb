"""How the pages that are files look: one style sheet, for light and dark, wide and narrow."""

STYLE = """
:root { color-scheme: light dark; --page: #f7f8f9; --card: #fff; --ink: #1b2227; --soft: #59656d; --line: #dde2e5;
  --equal: #11683a; --equal-back: #dff3e7; --different: #a8141c; --different-back: #fde3e3;
  --undecided: #7a5200; --undecided-back: #fcf0d2 }
@media (prefers-color-scheme: dark) { :root { --page: #12171a; --card: #1a2125; --ink: #e6ebee; --soft: #9aa8b0;
  --line: #303a40; --equal: #7edca6; --equal-back: #123524; --different: #ffa3a3; --different-back: #481a1d;
  --undecided: #f0c869; --undecided-back: #3d2f0d } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 76rem; margin: 0 auto; padding: 1.25rem }
header, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.25rem;
  margin: 0 0 1rem }
h1 { margin: .1rem 0; font-size: 1.9rem; line-height: 1.2 }
h2 { margin: 0 0 .6rem; font-size: 1.1rem }
p { margin: .3rem 0 }
.kind, .note, small, dt { color: var(--soft) }
.note, small { font-size: .85rem }
h1.equal { color: var(--equal) } h1.different { color: var(--different) } h1.undecided { color: var(--undecided) }
dl { display: flex; flex-wrap: wrap; gap: .4rem 1.8rem; margin: .8rem 0 0 }
dt { font-size: .8rem } dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line) }
thead th { color: var(--soft); font-weight: 500; font-size: .85rem; white-space: nowrap }
tbody tr:last-child > * { border-bottom: 0 }
tbody th { font-weight: 500 }
.matrix th:first-child { position: sticky; left: 0; background: var(--card) }
.matrix th:not(:first-child), .matrix td { text-align: center }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.mark { display: inline-block; min-width: 1.9rem; padding: 0 .45rem; border-radius: 999px; text-align: center;
  white-space: nowrap }
.mark.equal { color: var(--equal); background: var(--equal-back) }
.mark.different { color: var(--different); background: var(--different-back) }
.mark.undecided { color: var(--undecided); background: var(--undecided-back) }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere } .rows td:nth-child(3) { min-width: 8rem }
details { border-top: 1px solid var(--line); padding: .5rem 0 } details:first-of-type { border-top: 0 }
summary { cursor: pointer } .count { color: var(--soft) }
@media (max-width: 40rem) { main { padding: .5rem } header, section { padding: .8rem }
  th, td { padding: .3rem .35rem } td small { display: block }
  .matrix { font-size: .85rem } .matrix th:first-child { min-width: 8rem; overflow-wrap: anywhere }
  .matrix thead th:not(:first-child) { writing-mode: vertical-rl; text-align: right } .mark { min-width: 0 }
  .rows thead { display: none } .rows tr { display: flex; flex-wrap: wrap; gap: 0 .8rem; padding: .3rem 0;
    border-bottom: 1px solid var(--line) } .rows td { border: 0; padding: .05rem 0 } .rows td small { display: inline }
  .rows td:nth-child(n + 3) { flex-basis: 100% } .rows td:empty { display: none } }
"""
