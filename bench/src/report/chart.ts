// The chart: drain rates and latencies as horizontal bars on logarithmic scales, an SVG by hand that fits light and dark.
import type { Titles } from '../plan.ts'
import { systemNames } from '../systems/system.ts'
import type { Result } from './result.ts'
import { shown } from './table.ts'

interface Bar {
  readonly label: string
  readonly value: number
  readonly isOurs: boolean
}

interface Panel {
  readonly title: string
  readonly groups: readonly { readonly name: string; readonly bars: readonly Bar[] }[]
}

const WIDTH = 860
const LABELS = 200
const VALUES = 90
const BAR = 18
const STEP = 24
const SPACE = 34

export function chart(results: readonly Result[], titles: Titles): string {
  const barsOf = (title: string): Bar[] =>
    systemNames.flatMap((system) => {
      const value = results.find((each) => each.system === system && each.case === title)?.value
      return value === undefined || value === null || value <= 0 ? [] : [{ label: system, value, isOurs: system === systemNames[0] }]
    })
  const panel = (title: string, cases: readonly string[]): Panel => ({
    title,
    groups: cases.map((name) => ({ name, bars: barsOf(name) })).filter(({ bars }) => bars.length > 0),
  })
  const panels = [
    panel('Drained, executions a second (longer is better)', [titles.bare, titles.oneStep, titles.threeSteps, 'drain, 10 steps']),
    panel('Latency, milliseconds (shorter is better)', [`${titles.idleLatency}, p50`, `${titles.idleLatency}, p99`]),
  ].filter(({ groups }) => groups.length > 0)

  let y = 12
  const drawn = panels.map((each) => {
    const { svg, height } = draw(each, y)
    y += height
    return svg
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 8}" width="${WIDTH}" height="${y + 8}" role="img" aria-label="Drain rates and latencies by system">
<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .case { font-weight: 600 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .tick { font-size: 11px; fill: #57606a }
  .peer { fill: #8c959f }
  .ours { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .grid { stroke: #30363d }
    .tick { fill: #8d96a0 }
    .peer { fill: #6e7681 }
    .ours { fill: #4493f8 }
  }
</style>
${drawn.join('\n')}
</svg>
`
}

function draw(panel: Panel, top: number): { svg: string; height: number } {
  const values = panel.groups.flatMap(({ bars }) => bars.map(({ value }) => value))
  const low = Math.floor(Math.log10(Math.min(...values)) - 0.01)
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  const span = WIDTH - LABELS - VALUES
  const x = (value: number) => LABELS + ((Math.log10(value) - low) / (high - low)) * span
  const parts = [text(0, top + 16, panel.title, 'title')]
  let y = top + 30
  const bars: string[] = []
  for (const { name, bars: group } of panel.groups) {
    bars.push(text(0, y + 18, name, 'case'))
    y += 26
    for (const { label, value, isOurs } of group) {
      const width = Math.max(1, x(value) - LABELS)
      bars.push(
        text(LABELS - 8, y + 13, label, undefined, 'end'),
        `<rect class="${isOurs ? 'ours' : 'peer'}" x="${LABELS}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2"/>`,
        text(LABELS + width + 6, y + 13, shown(value)),
      )
      y += STEP
    }
    y += 4
  }
  for (let power = low; power <= high; power++) {
    const at = x(10 ** power).toFixed(1)
    parts.push(`<line class="grid" x1="${at}" x2="${at}" y1="${top + 30}" y2="${y}"/>`, text(Number(at), y + 14, shown(10 ** power), 'tick', 'middle'))
  }
  return { svg: [...parts, ...bars].join('\n'), height: y - top + SPACE }
}

function text(x: number, y: number, content: string, className?: string, anchor?: 'middle' | 'end'): string {
  const attributes = [`x="${x}"`, `y="${y}"`, ...(className === undefined ? [] : [`class="${className}"`]), ...(anchor === undefined ? [] : [`text-anchor="${anchor}"`])]
  return `<text ${attributes.join(' ')}>${content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`
}
