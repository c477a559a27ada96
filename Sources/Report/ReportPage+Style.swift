extension ReportPage {
  /// Light and dark by what the reader's system prefers; no font or image from elsewhere.
  static let style = """
    :root {
      color-scheme: light dark;
      --paper: #ffffff; --ink: #1c2430; --faint: #5d6876; --line: #e3e7ec; --card: #f5f7f9;
      --first: #1f66c7; --second: #c2570c; --third: #1a7f4b; --alarm: #c62836;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --paper: #14181d; --ink: #e3e8ee; --faint: #98a3b0; --line: #2d343c; --card: #1d2329;
        --first: #6fb0ff; --second: #ffa14f; --third: #5fd39a; --alarm: #ff7a85;
      }
    }
    * { box-sizing: border-box; }
    body {
      margin: 0 auto; padding: 28px 24px 60px; max-width: 1240px; background: var(--paper);
      color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
    }
    h1 { margin: 0; font-size: 26px; line-height: 1.2; overflow-wrap: anywhere; }
    h2 { margin: 40px 0 14px; font-size: 18px; }
    header p, .note { margin: 6px 0 0; color: var(--faint); }
    .note { margin-bottom: 12px; }
    .alarm { margin: 12px 0 0; color: var(--alarm); overflow-wrap: anywhere; }
    .cards {
      display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
      margin-top: 22px;
    }
    .cards div { background: var(--card); border-radius: 10px; padding: 12px 14px; }
    .cards b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
    .cards span { display: block; color: var(--faint); font-size: 13px; }
    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 26px; }
    @media (max-width: 520px) { .charts { grid-template-columns: 1fr; } }
    figure { margin: 0; }
    figcaption { display: flex; justify-content: space-between; gap: 12px; flex-wrap: wrap; }
    .legend { display: flex; gap: 14px; color: var(--faint); font-size: 13px; }
    .key::before {
      content: ""; display: inline-block; width: 14px; height: 3px; margin-right: 6px;
      vertical-align: middle; border-radius: 2px; background: currentColor;
    }
    .key.first::before { background: var(--first); }
    .key.second::before { background: var(--second); }
    .key.third::before { background: var(--third); }
    .key.incident::before { background: var(--alarm); }
    svg { display: block; width: 100%; height: auto; }
    svg text { font-size: 12px; fill: var(--faint); font-variant-numeric: tabular-nums; }
    svg .grid { stroke: var(--line); }
    svg .tick { stroke: var(--faint); }
    svg .incident { stroke: var(--alarm); stroke-width: 1.5; stroke-dasharray: 4 3; }
    svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
    svg polyline.first { stroke: var(--first); }
    svg polyline.second { stroke: var(--second); }
    svg polyline.third { stroke: var(--third); }
    svg polyline.faint { stroke-width: 1; opacity: 0.35; }
    svg .mark.first { fill: var(--first); }
    svg .mark.second { fill: var(--second); }
    svg .mark.third { fill: var(--third); }
    .scroll { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
    th, td { padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
    th { color: var(--faint); font-weight: 600; font-size: 13px; }
    code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
    details { margin-top: 12px; }
    summary { cursor: pointer; color: var(--faint); }
    .sample { display: grid; grid-template-columns: 120px 1fr; gap: 12px; padding: 10px 0; border-bottom: 1px solid var(--line); }
    .sample b { font-variant-numeric: tabular-nums; }
    .sample ol { margin: 0; padding-left: 20px; overflow-wrap: anywhere; }
    dl { columns: 320px; column-gap: 32px; margin: 0; }
    dl div { display: flex; justify-content: space-between; gap: 16px; padding: 4px 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
    dt { color: var(--faint); }
    dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
    footer { margin-top: 44px; color: var(--faint); font-size: 13px; overflow-wrap: anywhere; }
    @media print { body { max-width: none; } }
    """
}
