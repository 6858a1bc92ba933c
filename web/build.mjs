// Builds the playground into ../internal/web/playground, every file compressed. The same sources give the same bytes.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { build } from 'esbuild';
import pako from 'pako';

const out = new URL('../internal/web/playground/', import.meta.url);
const common = {
  bundle: true, minify: true, write: false, format: 'iife', target: 'es2022', legalComments: 'none', outdir: 'out',
  absWorkingDir: import.meta.dirname,
  define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.ttf': 'dataurl', '.woff2': 'dataurl' },
  logLevel: 'warning',
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
let total = 0;

// emit writes a file under a name that changes with its content, unless it is to keep its own, and returns the name.
function emit(name, content, keep) {
  if (!keep) {
    const hash = createHash('sha256').update(content).digest('hex').slice(0, 12);
    name = `${basename(name, extname(name))}.${hash}${extname(name)}`;
  }
  const compressed = pako.gzip(content, { level: 9, header: { os: 255, time: 0 } });
  writeFileSync(new URL(`${name}.gz`, out), compressed);
  total += compressed.length;
  return name;
}

const workers = {};
for (const [label, entry] of Object.entries({
  editor: 'monaco-editor/esm/vs/editor/editor.worker.js',
  json: 'monaco-editor/esm/vs/language/json/json.worker.js',
  graphql: 'monaco-graphql/esm/graphql.worker.js',
})) {
  const { outputFiles: [file] } = await build({ ...common, entryPoints: [{ in: entry, out: label }] });
  workers[label] = emit(`${label}.worker.js`, file.contents);
}

const names = {};
const page = await build({
  ...common,
  entryPoints: [{ in: 'src/main.jsx', out: 'playground' }],
  jsx: 'automatic',
  alias: { 'monaco-graphql/esm/monaco-editor.js': './src/monaco.js', 'monaco-graphql/esm/monaco-editor': './src/monaco.js' },
  define: { ...common.define, WORKERS: JSON.stringify(workers) },
});
for (const file of page.outputFiles) names[extname(file.path).slice(1)] = emit(basename(file.path), file.contents);

emit('logo.svg', readFileSync(new URL('src/logo.svg', import.meta.url)), true);
emit('index.html', new TextEncoder().encode(
  readFileSync(new URL('src/index.html', import.meta.url), 'utf8').replace('{{css}}', names.css).replace('{{js}}', names.js)), true);
console.log(`playground: ${(total / 1024).toFixed(0)} KiB compressed`);
