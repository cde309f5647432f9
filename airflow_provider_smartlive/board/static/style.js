// How the board looks. Its colours are the semantic tokens of Airflow's theme, which follow its dark mode.

const token = (/** @type {string} */ name) => `var(--chakra-colors-${name})`;

export const STYLE = `
.smartlive {
  --ok: ${token("success-solid")}; --ok-text: ${token("success-fg")};
  --warn: ${token("warning-solid")}; --warn-text: ${token("warning-fg")}; --warn-soft: color-mix(in srgb, var(--warn) 11%, var(--panel));
  --bad: ${token("danger-solid")}; --bad-text: ${token("danger-fg")}; --bad-soft: color-mix(in srgb, var(--bad) 11%, var(--panel));
  --busy: ${token("info-solid")}; --busy-text: ${token("info-fg")};
  --text: ${token("fg")}; --quiet: ${token("fg-muted")}; --line: ${token("border")}; --panel: ${token("bg")};
  --soft: color-mix(in srgb, var(--text) 3%, var(--panel)); --softer: color-mix(in srgb, var(--text) 8%, var(--panel)); --strong: ${token("border-emphasized")};
  --focus: ${token("brand-focus-ring")};
  color: var(--text); font-size: 14px; line-height: 1.35; padding: 16px 20px 48px; max-width: 1800px;
}
.smartlive *, .smartlive *::before { box-sizing: border-box; }
.smartlive h1 { font-size: 22px; font-weight: 650; letter-spacing: -0.01em; }
.smartlive h2 { font-size: 15px; font-weight: 650; margin: 28px 0 8px; display: flex; align-items: baseline; gap: 8px; }
.smartlive h2 .count { color: var(--quiet); font-weight: 500; }
.smartlive a { color: inherit; text-decoration: underline; text-decoration-color: var(--strong); text-underline-offset: 2px; }
.smartlive a:hover { text-decoration-color: currentColor; }
.smartlive :focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 4px; }
.smartlive .quiet { color: var(--quiet); }
.smartlive .number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.smartlive .small { font-size: 12px; }
.smartlive .outside { unicode-bidi: isolate; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.smartlive .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.smartlive header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 4px 16px; }
.smartlive header .state { display: flex; align-items: center; gap: 10px; color: var(--quiet); font-size: 13px; }
.smartlive .bar { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 12px 0 14px; }
.smartlive .bar .space { flex: 1 1 16px; }
.smartlive button, .smartlive input, .smartlive select {
  font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--strong); border-radius: 6px;
  height: 32px; padding: 0 10px;
}
.smartlive input::placeholder { color: var(--quiet); opacity: 1; }
.smartlive button { cursor: pointer; }
.smartlive button:hover { background: var(--softer); }
.smartlive button:disabled { cursor: default; opacity: 0.55; }
.smartlive select { max-width: 190px; }
.smartlive .counter { display: inline-flex; align-items: center; gap: 7px; border-radius: 999px; padding: 0 12px; }
.smartlive .counter b { font-weight: 650; font-variant-numeric: tabular-nums; }
.smartlive .counter[aria-pressed="true"] { background: var(--softer); border-color: var(--text); box-shadow: inset 0 0 0 1px var(--text); }
.smartlive .counter.bad { background: var(--bad-soft); border-color: var(--bad); color: var(--bad-text); }
.smartlive .note { display: flex; flex-wrap: wrap; align-items: center; gap: 10px; padding: 8px 12px; margin: 0 0 12px; border-radius: 8px;
  border: 1px solid var(--warn); background: var(--warn-soft); color: var(--warn-text); }
.smartlive .empty { border: 1px dashed var(--strong); border-radius: 8px; padding: 22px; color: var(--quiet); text-align: center; }
.smartlive .empty b { display: block; color: var(--text); font-weight: 600; margin-bottom: 2px; }
.smartlive .frame { border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; background: var(--panel); }
.smartlive table { border-collapse: collapse; width: 100%; }
.smartlive .frame > table { min-width: 880px; }
.smartlive th { text-align: left; font-size: 12px; font-weight: 550; color: var(--quiet); padding: 7px 8px; background: var(--soft);
  border-bottom: 1px solid var(--line); white-space: nowrap; }
.smartlive tbody th { background: none; color: inherit; font-weight: inherit; font-size: inherit; border: 0; white-space: normal; }
.smartlive tbody td, .smartlive tbody th { padding: 2px 8px; vertical-align: middle; height: 40px; }
.smartlive tbody tr.row { border-top: 1px solid var(--line); }
.smartlive tbody tr.row:first-child { border-top: 0; }
.smartlive tbody tr.row:hover { background: var(--soft); }
.smartlive tbody tr.row > :first-child { border-left: 3px solid transparent; padding-left: 7px; }
.smartlive tbody tr.severity-2 { background: var(--bad-soft); }
.smartlive tbody tr.severity-2:hover { background: var(--bad-soft); }
.smartlive tbody tr.severity-2 > :first-child { border-left-color: var(--bad); }
.smartlive tbody tr.severity-1 > :first-child { border-left-color: var(--warn); }
.smartlive .right { text-align: right; }
.smartlive .room { display: grid; grid-template-columns: 24px minmax(0, 1fr); align-items: center; column-gap: 4px; width: 215px; }
.smartlive .room button { grid-row: span 2; width: 24px; height: 28px; padding: 0; border: 0; background: none; color: var(--quiet); }
.smartlive .room button:hover { color: var(--text); }
.smartlive .room .name { font-weight: 550; }
.smartlive .status { display: grid; grid-template-columns: 16px minmax(0, 1fr); column-gap: 7px; align-items: center; min-width: 170px; max-width: 270px; }
.smartlive .status .word { font-weight: 500; white-space: nowrap; }
.smartlive .status .remark { grid-column: 2; font-size: 12px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.smartlive .tone-ok { color: var(--ok-text); } .smartlive .tone-warn { color: var(--warn-text); }
.smartlive .tone-bad { color: var(--bad-text); } .smartlive .tone-busy { color: var(--busy-text); } .smartlive .tone-idle { color: var(--quiet); }
.smartlive svg.icon { width: 14px; height: 14px; flex: none; display: block; }
.smartlive .chips { display: flex; flex-direction: column; gap: 2px; max-width: 240px; }
.smartlive .chip { display: flex; align-items: center; gap: 5px; font-size: 12px; white-space: nowrap; min-width: 0; }
.smartlive .mini { display: block; width: 130px; height: 14px; }
.smartlive .script { display: block; max-width: 170px; }
.smartlive .detail > td { padding: 4px 14px 16px 38px; height: auto; background: var(--soft); border-top: 1px solid var(--line); }
.smartlive .detail-grid { display: grid; grid-template-columns: minmax(0, 3fr) minmax(260px, 1fr); gap: 12px 28px; align-items: start; }
@media (max-width: 1100px) { .smartlive .detail-grid { grid-template-columns: minmax(0, 1fr); } .smartlive .wide { display: none; } }
.smartlive dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 3px 12px; font-size: 13px; margin: 0; }
.smartlive dt { color: var(--quiet); } .smartlive dd { margin: 0; overflow-wrap: anywhere; }
.smartlive ol.events { list-style: none; padding: 0; margin: 8px 0 0; font-size: 13px; columns: 260px; column-gap: 24px; }
.smartlive ol.events li { display: flex; gap: 10px; align-items: center; break-inside: avoid; padding: 1px 0; }
.smartlive .timeline { display: block; width: 100%; overflow: visible; }
.smartlive .timeline text { fill: var(--quiet); font-size: 11px; font-variant-numeric: tabular-nums; }
.smartlive .timeline .lane-name { fill: var(--text); font-size: 12px; }
.smartlive .grid-line { stroke: var(--line); } .smartlive .now-line { stroke: var(--text); stroke-width: 1.5; }
.smartlive .planned { fill: var(--softer); stroke: var(--strong); stroke-dasharray: 3 3; }
.smartlive .seg-ok { fill: var(--ok); } .smartlive .seg-bad { fill: var(--bad); } .smartlive .seg-busy { fill: var(--busy); }
.smartlive .seg-idle { fill: var(--strong); } .smartlive .seg-warn { fill: var(--warn); }
.smartlive .mark-script { fill: var(--quiet); } .smartlive .mark-reconnect { fill: var(--bad); }
.smartlive .legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 12px; color: var(--quiet); margin-top: 4px; align-items: center; }
.smartlive .legend span { display: inline-flex; align-items: center; gap: 5px; }
.smartlive .legend svg { width: 14px; height: 12px; }
.smartlive .pager { display: flex; gap: 8px; align-items: center; margin-top: 8px; }
`;
