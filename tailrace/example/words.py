"""Sample vocabulary, in Chinese and English. All people, companies and addresses are invented."""

SURNAMES = ("王", "李", "张", "刘", "陈", "杨", "赵", "欧阳", "Smith", "Nguyễn", "García", "O'Neill", "Müller", "𠮷田")
GIVEN_NAMES = ("伟", "芳", "秀英", "子涵", "宇轩", "Anna", "José", "Liam", "思远", "梓萱", "Zoë", "Fatima", "健太")
HANDLES = ("wang.wei", "li_na", "zoe", "dev.cat", "data-fan", "maria", "chen88", "north", "yuki", "sam.o")
MAIL_HOSTS = ("example.com", "example.org", "mail.example.net", "xn--fsq.example")

CITIES = ("北京", "上海", "深圳", "杭州", "成都", "Berlin", "São Paulo", "Remote", "新加坡", "台北", "Zürich")
INDUSTRIES = ("互联网", "金融科技", "医疗健康", "教育", "Manufacturing", "Logistics", "新能源", "Games", "半导体")
LANGUAGES = ("zh-CN", "zh-TW", "en-US", "de-DE", "ja-JP", "pt-BR")
TIMEZONES = ("Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "UTC", "Asia/Kathmandu")

SKILLS = (
    "Python", "Go", "Java", "C++", "C#", "SQL", "Rust", "TypeScript", "React", "Vue", "MySQL", "Kafka", "Redis",
    "Kubernetes", "Linux", "机器学习", "数据分析", "自然语言处理", "产品设计", "项目管理", "用户研究", "UI 设计",
    "测试自动化", "网络安全", "财务分析", "招聘", "市场营销", "英语", "日本語", "写作",
)  # fmt: skip

JOB_TITLES = (
    "后端工程师", "前端开发工程师", "数据分析师", "机器学习工程师", "产品经理", "Site Reliability Engineer",
    "Senior Python Developer", "测试工程师", "UI/UX Designer", "运维工程师", "Data Engineer", "人力资源经理",
    "Technical Writer", "安全工程师 (CISSP)", "市场专员", "Financial Controller", "嵌入式软件工程师",
)  # fmt: skip
SENIORITY = ("", "资深", "高级", "初级", "Lead ", "Junior ", "首席")
EXPERIENCE = ("不限", "1-3 年", "3-5 年", "5+ years", "应届生", "10 years or more")

COMPANY_STEMS = ("云帆", "星河", "青禾", "远山", "Blue Heron", "Northwind", "极光", "Copper & Pine", "白鹭", "Óbidos")
COMPANY_KINDS = ("科技有限公司", "信息技术股份有限公司", " GmbH", " Ltd.", "(深圳)有限公司", " Labs", "集团")
BENEFITS = ("五险一金", "带薪年假", "remote days", "年度体检", "stock options", "免费午餐", "13th salary", "子女教育")
AGENCIES = ("华信评级", "Harbour Ratings", "东方信用", "Meridian Credit")
REGULATIONS = ("个人信息保护法", "GDPR", "劳动合同法", "ISO 27001", "SOX", "数据安全法")

DUTIES = (
    "负责核心服务的设计与开发,保证高可用。",
    "与产品、设计团队紧密合作,推动需求落地。",
    "Own the data pipeline from ingestion to dashboards.",
    "编写清晰的技术文档和单元测试。",
    "Review code, mentor colleagues, keep the on-call quiet.",
    "参与架构评审,优化性能瓶颈(QPS > 10k)。",
    "Design experiments & read their results with care.",
    "处理线上故障,给出复盘报告。",
    "跟踪行业趋势,提出可行的改进方案。",
    "Work with MySQL, Kafka and a little Rust.",
)
WANTED = (
    "本科及以上学历,计算机相关专业。",
    "熟悉 Linux 与至少一门后端语言。",
    "3+ years of experience with distributed systems.",
    "良好的沟通能力,中英文流利。",
    "Knows when not to write code.",
    "有招聘或人力资源系统经验者优先。",
    "能承受一定压力;偶尔出差。",
    "A portfolio we can look at 🎨",
)
LIFE = (
    "八年互联网研发经验,带过十人团队。",
    "Built a search service used by two million people.",
    "毕业于计算机系,主修分布式系统。",
    "热爱开源,业余时间维护两个小项目 ✨",
    "Moved from accounting to data in 2019.",
    "曾负责支付系统重构,将延迟降低 60%。",
    "Speaks Mandarin, English and some Português.",
    "希望在医疗或教育行业继续发展。",
)
QUESTIONS = (
    "我的简历哪里需要改进?",
    "How do I explain a gap of two years?",
    "面试后端岗位一般会问什么?",
    "请分析这个职位是否适合我。",
    "Which skills should I learn next?",
    "帮我把这段经历写得更具体一些",
    "薪资期望怎么谈比较好 🤔",
)
ANSWERS = (
    "可以先突出量化的成果,再说明使用的技术。",
    "Start with the result, then say how you got there.",
    "建议补充项目规模、你的职责和最终指标。",
    "The role asks for Kafka; your resume mentions it only once.",
    "可以准备三个例子:一次失败、一次冲突、一次成功。",
    "Ask about the team before you ask about the salary.",
    "从匹配度看,技能重合约七成,行业经验稍弱。",
)
PROPOSALS = ("提高投票门槛", "社区基金预算", "Open the skill taxonomy", "新增导师积分", "Rotate the moderators")
NOTES = ("签到", "推荐好友", "Bug bounty", "撤销误发", "兑换简历模板", "月度奖励", "")
MODELS = ("deepseek-chat", "gpt-4o-mini", "gemini-2.0-flash", "llama3.1:8b", "rules")
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148",
    "okhttp/4.12.0",
    "MicroMessenger/8.0.49 (微信)",
)
