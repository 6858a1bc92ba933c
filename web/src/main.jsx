import { createRoot } from 'react-dom/client';
import { GraphiQL } from 'graphiql';
import 'graphiql/style.css';
import './page.css';
import { fetcher } from './fetcher.js';
import { tabs } from './operations.js';

const workers = { json: 'json', graphql: 'graphql' };
globalThis.MonacoEnvironment = {
  getWorker: (_, label) => new Worker(`/playground/${WORKERS[workers[label] ?? 'editor']}`),
};

createRoot(document.getElementById('playground')).render(
  <GraphiQL fetcher={fetcher} defaultTabs={tabs} defaultEditorToolsVisibility="variables">
    <GraphiQL.Logo>
      <a className="tidings" href="/"><img src="/playground/logo.svg" alt="" width="24" height="24" />Tidings</a>
    </GraphiQL.Logo>
  </GraphiQL>,
);
