// Draws the dashboards in window.preview (examples/preview.rs) with Grafana's own components: panels, time series and
// the table are @grafana/ui's, values, units, colours and overrides @grafana/data's. The state timeline is a part of
// Grafana's application and not of its packages: what is drawn here is a plain picture with Grafana's colours and words.
import 'uplot/dist/uPlot.min.css';
import React from 'react';
import { createRoot } from 'react-dom/client';
import { map } from 'rxjs';
import {
  applyFieldOverrides,
  createTheme,
  dateTime,
  FieldColorModeId,
  FieldConfigOptionsRegistry,
  FieldType,
  fieldColorModeRegistry,
  formattedValueToString,
  identityOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  ThemeContext,
  toDataFrame,
  transformDataFrame,
  type DataFrame,
} from '@grafana/data';
import { GlobalStyles, PanelChrome, Table, TimeSeries } from '@grafana/ui';

const theme = createTheme({ colors: { mode: 'dark' } });

standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    editor: () => null,
    transformation,
  })) as any
);

// The properties our overrides use; Grafana's application registers all of them.
const properties = new FieldConfigOptionsRegistry(() =>
  ['unit', 'decimals', 'min', 'max', 'mappings', 'thresholds', 'links', 'color', 'noValue', 'custom.cellOptions',
    'custom.width', 'custom.align', 'custom.drawStyle', 'custom.lineWidth', 'custom.fillOpacity', 'custom.showPoints',
    'custom.spanNulls', 'custom.thresholdsStyle', 'custom.axisWidth'].map((id) => ({
    id,
    path: id.replace('custom.', ''),
    name: id,
    isCustom: id.startsWith('custom.'),
    process: identityOverrideProcessor,
    shouldApply: () => true,
    editor: () => null,
    override: () => null,
  })) as any
);

const fill = (format: string, labels: Record<string, string>) =>
  format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');

// What Grafana's Prometheus data source makes of an answer.
function frames(panel: any, answers: any[]): DataFrame[] {
  return panel.targets.flatMap((target: any, index: number) => {
    if (target.format === 'table') {
      const names = [...new Set(answers[index].flatMap((series: any) => Object.keys(series.metric)))] as string[];
      const value = `Value #${target.refId}`;
      return [toDataFrame({
        refId: target.refId,
        fields: [
          { name: 'Time', type: FieldType.time, values: answers[index].map((series: any) => series.value[0] * 1000) },
          ...names.map((name) => ({ name, type: FieldType.string, values: answers[index].map((s: any) => s.metric[name]) })),
          { name: value, type: FieldType.number, values: answers[index].map((series: any) => Number(series.value[1])) },
        ],
      })];
    }
    return answers[index].map((series: any) => toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: gapped(series.values).map(([time]) => time) },
        {
          name: 'Value',
          type: FieldType.number,
          labels: series.metric,
          config: { displayNameFromDS: fill(target.legendFormat, series.metric) },
          values: gapped(series.values).map(([, value]) => value),
        },
      ],
    }));
  });
}

const STEP = 30_000;
// Of a page; preview/run makes the window this wide.
const WIDTH = 1640;

// With a hole where Prometheus left some samples out.
function gapped(samples: [number, string][]): [number, number | null][] {
  return samples.flatMap(([time, value], index) => {
    const at = time * 1000;
    const before = index ? samples[index - 1][0] * 1000 : at;
    const sample: [number, number | null] = [at, Number(value)];
    return at - before > STEP ? [[before + STEP, null] as [number, null], sample] : [sample];
  });
}

function prepared(panel: any, data: DataFrame[]): DataFrame[] {
  return applyFieldOverrides({
    data,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: properties,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
}

function States({ frames, range, width, height }: any) {
  const names = frames.map((frame: DataFrame) => frame.fields[1].config.displayNameFromDS ?? '');
  const left = frames[0]?.fields[1].config.custom?.axisWidth ?? 16 + 7 * Math.max(...names.map((name: string) => name.length));
  const bottom = 20;
  const row = Math.min(26, (height - bottom) / Math.max(1, frames.length));
  const x = (time: number) => left + ((time - range.from) / (range.to - range.from)) * (width - left - 24);
  const ticks = [];
  for (let time = Math.ceil(range.from / 1.8e6) * 1.8e6; time <= range.to; time += 1.8e6) {
    ticks.push(time);
  }
  const text = { fill: theme.colors.text.secondary, fontSize: 12, fontFamily: theme.typography.fontFamily };
  return (
    <svg width={width} height={height}>
      {ticks.map((time) => (
        <g key={time}>
          <line x1={x(time)} x2={x(time)} y1={0} y2={row * frames.length} stroke={theme.colors.border.weak} />
          <text x={x(time)} y={row * frames.length + 16} textAnchor="middle" {...text}>
            {dateTime(time).utc().format('HH:mm')}
          </text>
        </g>
      ))}
      {frames.map((frame: DataFrame, index: number) => {
        const [times, values] = frame.fields;
        const spans: any[] = [];
        times.values.forEach((time: number, at: number) => {
          const value = values.values[at];
          const last = spans[spans.length - 1];
          if (value !== null && last && last.value === value && last.to >= time - STEP) {
            last.to = time;
          } else if (value !== null) {
            spans.push({ value, from: time, to: time });
          }
        });
        return (
          <g key={index} transform={`translate(0 ${index * row})`}>
            <text x={left - 8} y={row / 2 + 4} textAnchor="end" {...text} fontSize={11}>{values.config.displayNameFromDS}</text>
            {spans.map((span) => {
              const shown = values.display!(span.value);
              const wide = Math.max(2, x(span.to + STEP) - x(span.from));
              return (
                <g key={span.from}>
                  <rect x={x(span.from)} y={row * 0.1} width={wide} height={row * 0.8} fill={shown.color} opacity={0.8} />
                  {wide > 8 * shown.text.length && row > 14 && (
                    <text x={x(span.from) + 6} y={row / 2 + 4} {...text} fill="#000">{formattedValueToString(shown)}</text>
                  )}
                </g>
              );
            })}
          </g>
        );
      })}
    </svg>
  );
}

const marks = (times: { time: number; color: string }[]) => (builder: any) => {
  builder.addHook('draw', (plot: any) => {
    const context = plot.ctx;
    context.save();
    for (const { time, color } of times) {
      const at = plot.valToPos(time, 'x', true);
      context.strokeStyle = theme.visualization.getColorByName(color);
      context.setLineDash([4, 4]);
      context.beginPath();
      context.moveTo(at, plot.bbox.top);
      context.lineTo(at, plot.bbox.top + plot.bbox.height);
      context.stroke();
    }
    context.restore();
  });
  return null;
};

function Hosts({ panel, data, width, height }: any) {
  const [shown, setShown] = React.useState<DataFrame | undefined>();
  React.useEffect(() => {
    const done = transformDataFrame(panel.transformations, data).pipe(map((made) => prepared(panel, made)));
    const subscription = done.subscribe((made) => setShown(made[0]));
    return () => subscription.unsubscribe();
  }, []);
  return shown ? <Table data={shown} width={width} height={height} columnMinWidth={70} /> : null;
}

function Panel({ panel, answers, range, annotations }: any) {
  const grid = panel.gridPos;
  const width = (WIDTH / 24) * grid.w - 8;
  const height = grid.h * 38 - 8;
  const data = frames(panel, answers);
  const place = { position: 'absolute' as const, left: (WIDTH / 24) * grid.x, top: grid.y * 38 };
  const timeRange = { from: dateTime(range.from), to: dateTime(range.to), raw: { from: 'now-3h', to: 'now' } };
  return (
    <div style={place}>
      <PanelChrome title={panel.title} width={width} height={height}>
        {(inner, tall) => {
          if (data.length === 0) {
            return <p style={{ textAlign: 'center', color: theme.colors.text.secondary }}>No data</p>;
          }
          if (panel.type === 'table') {
            return <Hosts panel={panel} data={data} width={inner} height={tall} />;
          }
          const shown = prepared(panel, data);
          if (panel.type === 'state-timeline') {
            return <States frames={shown} range={range} width={inner} height={tall} />;
          }
          return (
            <TimeSeries frames={shown} timeRange={timeRange} timeZone="utc" width={inner} height={tall}
              legend={panel.options.legend}>
              {marks(annotations)}
            </TimeSeries>
          );
        }}
      </PanelChrome>
    </div>
  );
}

// The beginnings of what an annotation's series tell, or the times that they give.
function moments(dashboard: any, answers: any[][], range: any) {
  return dashboard.annotations.list.flatMap((annotation: any, index: number) => {
    const times = answers[index].flatMap((series: any) =>
      annotation.useValueForTime
        ? [...new Set(series.values.map(([, value]: any) => Number(value)))]
        : gapped(series.values).filter(([, value], at, all) => value !== null && (!at || all[at - 1][1] === null)).map(([time]) => time));
    return times.filter((time: any) => time >= range.from && time <= range.to)
      .map((time: any) => ({ time, color: annotation.iconColor }));
  });
}

function Page() {
  const all = (window as any).preview;
  const uid = decodeURIComponent(location.hash.slice(1));
  const chosen = all.find((entry: any) => entry.dashboard.uid === uid);
  if (!chosen) {
    return (
      <nav>
        <h1>Flatline's dashboards on replayed incidents</h1>
        {all.map(({ dashboard }: any) => <p key={dashboard.uid}><a href={`#${dashboard.uid}`}>{dashboard.title}</a></p>)}
      </nav>
    );
  }
  const { dashboard, answers } = chosen;
  const range = { from: chosen.from * 1000, to: chosen.to * 1000 };
  const annotations = moments(dashboard, chosen.annotations, range);
  return (
    <main>
      <h1>{dashboard.title}</h1>
      <p>{dashboard.description}</p>
      <div style={{ position: 'relative' }}>
        {dashboard.panels.map((panel: any) => (
          <Panel key={panel.id} panel={panel} answers={answers[panel.id]} range={range} annotations={annotations} />
        ))}
      </div>
    </main>
  );
}

window.addEventListener('hashchange', () => location.reload());
createRoot(document.getElementById('root')!).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <Page />
  </ThemeContext.Provider>
);
